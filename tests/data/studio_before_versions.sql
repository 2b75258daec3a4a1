BEGIN TRANSACTION;
CREATE TABLE dataset (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	suffix VARCHAR NOT NULL, 
	bytes INTEGER NOT NULL, 
	rows INTEGER NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "dataset" VALUES('ds_0a1b2c3d4e5f60718293a4b5c6d7e8f9','fragen über ''alles''.csv','.csv',123,4,1764000002.5);
CREATE TABLE experiment (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	created FLOAT NOT NULL, 
	spec JSON NOT NULL, 
	idempotency_key VARCHAR, 
	request_fingerprint VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (idempotency_key)
);
INSERT INTO "experiment" VALUES('exp_teh6ww3yyet7','Sudoku 4x4 · SFT + GIFT · 25 Nov 23:15',1.79564852132594585413e+09,'{"name": "", "run": {"model": {"name": "tiny", "dtype": "auto", "quantisation": "none"}, "data": {"source": {"kind": "task", "task": "sudoku", "difficulty": "standard", "examples": 1000, "seed": 0}, "max_length": 512, "overlong": "refuse", "eos_tail": "block", "held_out": 256}, "objective": {"method": "gift", "power": 0.5, "reference": "sequence", "weighting": "inverse", "rate_floor": 0.0, "rate_ceiling": null, "probe": "online", "probe_every": 5}, "training": {"epochs": 10, "batch_size": 64, "micro_batch_size": null, "learning_rate": 0.0005, "schedule": "linear", "warmup_share": 0.05, "weight_decay": 0.0, "max_grad_norm": 1.0, "normalisation": "token", "precision": "bf16", "gradient_checkpointing": false, "compile": false, "checkpoint_every": null, "adapter": "full", "lora": {"rank": 32, "alpha": 64.0, "dropout": 0.0, "targets": "all_linear"}}, "sampling": {"sampler": "llada", "length": 48, "block_length": 48, "steps": 24, "temperature": 0.0, "top_p": 1.0, "remasking": "low_confidence", "cfg_scale": 0.0, "suppress_eos": "no", "confidence_threshold": null, "entropy_bound": null, "stop_early": true, "cache": "none"}, "evaluation": {"loss_every": null, "score": true}, "seed": 1}, "methods": ["sft", "gift"], "seeds": [1]}','key-1','48abdc6f6a6c2f49bf9d463c9f2701956ba8c698546ae7384fd10258efdb8443');
INSERT INTO "experiment" VALUES('exp_mj7pwjxi2cqu','Later',1.79564852132957482331e+09,'{"name": "Later", "run": {"model": {"name": "tiny", "dtype": "auto", "quantisation": "none"}, "data": {"source": {"kind": "task", "task": "sudoku", "difficulty": "standard", "examples": 1000, "seed": 0}, "max_length": 512, "overlong": "refuse", "eos_tail": "block", "held_out": 256}, "objective": {"method": "gift", "power": 0.5, "reference": "sequence", "weighting": "inverse", "rate_floor": 0.0, "rate_ceiling": null, "probe": "online", "probe_every": 5}, "training": {"epochs": 10, "batch_size": 64, "micro_batch_size": null, "learning_rate": 0.0005, "schedule": "linear", "warmup_share": 0.05, "weight_decay": 0.0, "max_grad_norm": 1.0, "normalisation": "token", "precision": "bf16", "gradient_checkpointing": false, "compile": false, "checkpoint_every": null, "adapter": "full", "lora": {"rank": 32, "alpha": 64.0, "dropout": 0.0, "targets": "all_linear"}}, "sampling": {"sampler": "llada", "length": 48, "block_length": 48, "steps": 24, "temperature": 0.0, "top_p": 1.0, "remasking": "low_confidence", "cfg_scale": 0.0, "suppress_eos": "no", "confidence_threshold": null, "entropy_bound": null, "stop_early": true, "cache": "none"}, "evaluation": {"loss_every": null, "score": true}, "seed": 1}, "methods": ["sft", "gift"], "seeds": [1]}',NULL,'699d20a6cb9cc0a0ca135b31fb9021618816eec85410c29ecb19c1c97545e482');
CREATE TABLE metric_point (
	cursor INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	line INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	time FLOAT NOT NULL, 
	"values" JSON NOT NULL, 
	PRIMARY KEY (cursor), 
	UNIQUE (run_id, line), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "metric_point" VALUES(1,'run_yb9xlspum8ms',1,10,1764000005.0,'{"loss": 4.5, "tokens_per_second": 910.0}');
INSERT INTO "metric_point" VALUES(2,'run_yb9xlspum8ms',2,20,1764000006.25,'{"loss": 3.25, "eval_loss": 3.5}');
INSERT INTO "metric_point" VALUES(3,'run_yb9xlspum8ms',3,30,1764000007.5,'{"loss": 2.75}');
INSERT INTO "metric_point" VALUES(4,'run_3seoctss21mf',1,10,1764000011.25,'{"loss": 4.25}');
INSERT INTO "metric_point" VALUES(5,'run_gnhkiqyumsrb',1,10,1764000015.0,'{"loss": 4.0}');
CREATE TABLE run (
	id VARCHAR NOT NULL, 
	experiment_id VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	spec JSON NOT NULL, 
	state VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	created FLOAT NOT NULL, 
	started FLOAT, 
	ended FLOAT, 
	step INTEGER NOT NULL, 
	total_steps INTEGER, 
	tokens_per_second FLOAT, 
	eta_seconds FLOAT, 
	result JSON, 
	failure JSON, 
	owner VARCHAR, 
	lease_until FLOAT, 
	process_id INTEGER, 
	PRIMARY KEY (id), 
	FOREIGN KEY(experiment_id) REFERENCES experiment (id)
);
INSERT INTO "run" VALUES('run_yb9xlspum8ms','exp_teh6ww3yyet7','SFT',0,'{"model": {"name": "tiny", "dtype": "auto", "quantisation": "none"}, "data": {"source": {"kind": "task", "task": "sudoku", "difficulty": "standard", "examples": 1000, "seed": 0}, "max_length": 512, "overlong": "refuse", "eos_tail": "block", "held_out": 256}, "objective": {"method": "sft", "power": 0.5, "reference": "sequence", "weighting": "inverse", "rate_floor": 0.0, "rate_ceiling": null, "probe": "online", "probe_every": 5}, "training": {"epochs": 10, "batch_size": 64, "micro_batch_size": null, "learning_rate": 0.0005, "schedule": "linear", "warmup_share": 0.05, "weight_decay": 0.0, "max_grad_norm": 1.0, "normalisation": "token", "precision": "bf16", "gradient_checkpointing": false, "compile": false, "checkpoint_every": null, "adapter": "full", "lora": {"rank": 32, "alpha": 64.0, "dropout": 0.0, "targets": "all_linear"}}, "sampling": {"sampler": "llada", "length": 48, "block_length": 48, "steps": 24, "temperature": 0.0, "top_p": 1.0, "remasking": "low_confidence", "cfg_scale": 0.0, "suppress_eos": "no", "confidence_threshold": null, "entropy_bound": null, "stop_early": true, "cache": "none"}, "evaluation": {"loss_every": null, "score": true}, "seed": 1}','finished','',1.79564852132594585413e+09,1764000003.75,1764000008.75,30,40,910.0,NULL,'{"seconds": 12.5, "final_loss": 2.75}','null','host:1',NULL,NULL);
INSERT INTO "run" VALUES('run_3seoctss21mf','exp_teh6ww3yyet7','GIFT',1,'{"model": {"name": "tiny", "dtype": "auto", "quantisation": "none"}, "data": {"source": {"kind": "task", "task": "sudoku", "difficulty": "standard", "examples": 1000, "seed": 0}, "max_length": 512, "overlong": "refuse", "eos_tail": "block", "held_out": 256}, "objective": {"method": "gift", "power": 0.5, "reference": "sequence", "weighting": "inverse", "rate_floor": 0.0, "rate_ceiling": null, "probe": "online", "probe_every": 5}, "training": {"epochs": 10, "batch_size": 64, "micro_batch_size": null, "learning_rate": 0.0005, "schedule": "linear", "warmup_share": 0.05, "weight_decay": 0.0, "max_grad_norm": 1.0, "normalisation": "token", "precision": "bf16", "gradient_checkpointing": false, "compile": false, "checkpoint_every": null, "adapter": "full", "lora": {"rank": 32, "alpha": 64.0, "dropout": 0.0, "targets": "all_linear"}}, "sampling": {"sampler": "llada", "length": 48, "block_length": 48, "steps": 24, "temperature": 0.0, "top_p": 1.0, "remasking": "low_confidence", "cfg_scale": 0.0, "suppress_eos": "no", "confidence_threshold": null, "entropy_bound": null, "stop_early": true, "cache": "none"}, "evaluation": {"loss_every": null, "score": true}, "seed": 1}','failed','',1.79564852132594585413e+09,1764000010.0,1764000012.5,10,40,NULL,NULL,'null','{"code": "killed", "message": "It was killed.", "field": "", "remedy": "Launch it again."}','host:1',NULL,NULL);
INSERT INTO "run" VALUES('run_gnhkiqyumsrb','exp_mj7pwjxi2cqu','SFT',0,'{"model": {"name": "tiny", "dtype": "auto", "quantisation": "none"}, "data": {"source": {"kind": "task", "task": "sudoku", "difficulty": "standard", "examples": 1000, "seed": 0}, "max_length": 512, "overlong": "refuse", "eos_tail": "block", "held_out": 256}, "objective": {"method": "sft", "power": 0.5, "reference": "sequence", "weighting": "inverse", "rate_floor": 0.0, "rate_ceiling": null, "probe": "online", "probe_every": 5}, "training": {"epochs": 10, "batch_size": 64, "micro_batch_size": null, "learning_rate": 0.0005, "schedule": "linear", "warmup_share": 0.05, "weight_decay": 0.0, "max_grad_norm": 1.0, "normalisation": "token", "precision": "bf16", "gradient_checkpointing": false, "compile": false, "checkpoint_every": null, "adapter": "full", "lora": {"rank": 32, "alpha": 64.0, "dropout": 0.0, "targets": "all_linear"}}, "sampling": {"sampler": "llada", "length": 48, "block_length": 48, "steps": 24, "temperature": 0.0, "top_p": 1.0, "remasking": "low_confidence", "cfg_scale": 0.0, "suppress_eos": "no", "confidence_threshold": null, "entropy_bound": null, "stop_early": true, "cache": "none"}, "evaluation": {"loss_every": null, "score": true}, "seed": 1}','stopping','training',1.79564852132957482331e+09,1764000013.75,NULL,10,40,NULL,3.5,'null','null','host:2',1764000028.75,NULL);
INSERT INTO "run" VALUES('run_yd9gx7a0rghq','exp_mj7pwjxi2cqu','GIFT',1,'{"model": {"name": "tiny", "dtype": "auto", "quantisation": "none"}, "data": {"source": {"kind": "task", "task": "sudoku", "difficulty": "standard", "examples": 1000, "seed": 0}, "max_length": 512, "overlong": "refuse", "eos_tail": "block", "held_out": 256}, "objective": {"method": "gift", "power": 0.5, "reference": "sequence", "weighting": "inverse", "rate_floor": 0.0, "rate_ceiling": null, "probe": "online", "probe_every": 5}, "training": {"epochs": 10, "batch_size": 64, "micro_batch_size": null, "learning_rate": 0.0005, "schedule": "linear", "warmup_share": 0.05, "weight_decay": 0.0, "max_grad_norm": 1.0, "normalisation": "token", "precision": "bf16", "gradient_checkpointing": false, "compile": false, "checkpoint_every": null, "adapter": "full", "lora": {"rank": 32, "alpha": 64.0, "dropout": 0.0, "targets": "all_linear"}}, "sampling": {"sampler": "llada", "length": 48, "block_length": 48, "steps": 24, "temperature": 0.0, "top_p": 1.0, "remasking": "low_confidence", "cfg_scale": 0.0, "suppress_eos": "no", "confidence_threshold": null, "entropy_bound": null, "stop_early": true, "cache": "none"}, "evaluation": {"loss_every": null, "score": true}, "seed": 1}','queued','',1.79564852132957482331e+09,NULL,NULL,0,NULL,NULL,NULL,'null','null',NULL,NULL,NULL);
CREATE TABLE transition (
	id INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	time FLOAT NOT NULL, 
	"before" VARCHAR, 
	"after" VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	cause VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "transition" VALUES(1,'run_yb9xlspum8ms',1.7956485213283057213e+09,NULL,'queued','','launched');
INSERT INTO "transition" VALUES(2,'run_3seoctss21mf',1.79564852132837700846e+09,NULL,'queued','','launched');
INSERT INTO "transition" VALUES(3,'run_gnhkiqyumsrb',1.79564852133041214943e+09,NULL,'queued','','launched');
INSERT INTO "transition" VALUES(4,'run_yd9gx7a0rghq',1.79564852133045649521e+09,NULL,'queued','','launched');
INSERT INTO "transition" VALUES(5,'run_yb9xlspum8ms',1.79564852133465147022e+09,'queued','running','host:1','');
INSERT INTO "transition" VALUES(6,'run_yb9xlspum8ms',1.79564852134035682676e+09,'running','finished','host:1','finished');
INSERT INTO "transition" VALUES(7,'run_3seoctss21mf',1.79564852134152173998e+09,'queued','running','host:1','');
INSERT INTO "transition" VALUES(8,'run_3seoctss21mf',1.79564852134334445006e+09,'running','failed','host:1','killed');
INSERT INTO "transition" VALUES(9,'run_gnhkiqyumsrb',1.79564852134476017958e+09,'queued','running','host:2','');
INSERT INTO "transition" VALUES(10,'run_gnhkiqyumsrb',1.79564852134653472901e+09,'running','stopping','user','stop requested');
CREATE INDEX ix_experiment_created ON experiment (created);
CREATE INDEX ix_run_experiment_id ON run (experiment_id);
CREATE INDEX ix_run_state ON run (state);
CREATE INDEX ix_metric_run_cursor ON metric_point (run_id, cursor);
CREATE INDEX ix_transition_run_id ON transition (run_id);
COMMIT;
