"""The one schema. A `RunSpec` is the form, the API body, the YAML file, the CLI flags and the stored record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    PositiveInt,
)
from pydantic import model_validator as check

from gift_core.data.catalogue import find_dataset, kind_of
from gift_core.data_spec import DataSpec
from gift_core.errors import SpecError
from gift_core.section import (
    LONGEST_YAML,
    Name,
    Positive,
    Section,
    Seed,
    Share,
    alternatives,
    conflict,
    is_section,
    read_yaml_text,
)

Method = Literal["sft", "gift", "shuffled", "nll", "simple", "cart"]
METHODS: tuple[Method, ...] = get_args(Method)
# What they are for: telling what a difference between SFT and GIFT comes from.
CONTROLS: tuple[Method, ...] = ("shuffled", "nll", "simple", "cart")
Weighting = Literal["inverse", "elbo"]
Quantisation = Literal["none", "nf4"]
WeightDtype = Literal["auto", "bf16", "fp32"]
ExportLayout = Literal["adapter", "merged", "published"]
LoraTargets = Literal["attention", "all_linear"]
# Logits divided by less overflow.
_LEAST_TEMPERATURE = 1e-3
SamplerName = Literal["llada", "dream"]
Remasking = Literal["low_confidence", "random", "topk_margin", "entropy", "origin"]
Precision = Literal["bf16", "fp32"]
_SOURCE = "data.source"


class ModelSpec(Section):
    name: str = Field(
        "tiny",
        description="Base model: a name from the catalogue; on the command line also a local folder, or owner/name of "
        "the Hub, with @revision if need be.",
    )
    dtype: WeightDtype = Field(
        "auto",
        description="Of the weights in memory: auto keeps those of a frozen base as they were published, and those "
        "that are trained in fp32.",
    )
    start_from: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="A run whose weights it begins with instead: its id, on the command line its folder.",
    )
    quantisation: Quantisation = Field(
        "none", description="nf4 keeps the frozen base in 4 bits (QLoRA): needs a LoRA adapter and bitsandbytes."
    )


class ObjectiveSpec(Section):
    method: Method = Field(
        "gift",
        description="sft masks every token alike; gift masks token i at rate H_i ** power. Controls: shuffled permutes "
        "gift's rates within the response; nll takes -log p of the true token for H; simple masks alike and weighs by "
        "r_i / t; cart masks alike and weighs by the visible neighbours.",
    )
    power: Annotated[float, Field(ge=0, le=4)] = Field(0.5, description="Masking rate beta_i = H_i ** power.")
    reference: Literal["sequence", "batch"] | Positive = Field(
        "sequence",
        description="The rate that counts as 1: mean beta of the sequence, of the batch, or a number.",
    )
    weighting: Weighting = Field(
        "inverse",
        description="inverse: 1/t_i, the paper's Algorithm. elbo: r_i (1-t)**(r_i-1) / t_i, a bound on -log p(x). "
        "simple and cart have weights of their own.",
    )
    rate_floor: NonNegativeFloat = Field(0.0, description="Least relative rate r_i; the paper sets none.")
    rate_ceiling: Positive | None = Field(None, description="Largest relative rate r_i; the paper sets none.")
    probe: Literal["online", "every_k", "frozen"] = Field(
        "online",
        description="When the model is asked for H_i: at every step (the paper), again in every k-th epoch, or once, "
        "of the starting model.",
    )
    probe_every: Annotated[int, Field(ge=1, le=1000)] = Field(
        5, description="Epochs from one probe of an example to its next, with probe every_k."
    )

    @check(mode="after")
    def _floor_is_below_ceiling(self) -> ObjectiveSpec:
        if self.rate_ceiling is not None and self.rate_floor > self.rate_ceiling:
            raise ValueError(f"rate_floor ({self.rate_floor:g}) is larger than rate_ceiling ({self.rate_ceiling:g})")
        return self


class LoraSpec(Section):
    rank: Annotated[int, Field(ge=1, le=1024)] = Field(32, description="Rank of the update.")
    alpha: Positive = Field(64.0, description="Scale: the update is multiplied by alpha / rank.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Dropout on the adapter's input.")
    targets: LoraTargets = Field(
        "all_linear", description="Which projections get an adapter; the output head never does."
    )


class TrainingSpec(Section):
    epochs: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="Passes over the data.")
    batch_size: Annotated[int, Field(ge=1, le=4096)] = Field(64, description="Sequences per optimiser step.")
    micro_batch_size: PositiveInt | None = Field(
        None, description="Sequences per forward pass; smaller saves memory and changes nothing else."
    )
    learning_rate: Positive = Field(5e-4, description="Peak learning rate of AdamW.")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="Learning-rate schedule.")
    warmup_share: Share = Field(0.05, description="Share of the steps spent warming up.")
    weight_decay: NonNegativeFloat = Field(0.0, description="Decoupled weight decay.")
    max_grad_norm: Positive = Field(1.0, description="Gradient clipping threshold.")
    normalisation: Literal["token", "sequence"] = Field(
        "token",
        description="Divide the loss by the response tokens of the global batch, or average per-sequence means.",
    )
    precision: Precision = Field("bf16", description="Autocast dtype; entropy and loss are always fp32.")
    gradient_checkpointing: bool = Field(
        False, description="Compute activations again in the backward pass: less memory, about a third more time."
    )
    compile: bool = Field(False, description="Compile the model's body with torch.compile; needs a C++ compiler.")
    checkpoint_every: PositiveInt | None = Field(
        None, description="Steps between checkpoints that a run resumes from; once per epoch when left out."
    )
    adapter: Literal["full", "lora"] = Field("full", description="Train all weights, or a LoRA adapter.")
    lora: LoraSpec = Field(default_factory=LoraSpec)

    @check(mode="after")
    def _micro_batches_fill_the_batch(self) -> TrainingSpec:
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size ({self.micro_batch_size}) does not divide batch_size ({self.batch_size})"
            )
        return self


class SamplingSpec(Section):
    sampler: SamplerName = Field(
        "llada",
        description="llada: every step of a block commits as many positions. dream: each masked position with "
        "probability 1 - s/t, as time falls from 1 to 0.001, and confidence is read at the temperature.",
    )
    length: Annotated[int, Field(ge=1, le=4096)] = Field(48, description="Tokens to generate.")
    block_length: Annotated[int, Field(ge=1, le=4096)] = Field(
        48, description="Tokens denoised together; blocks go left to right."
    )
    steps: Annotated[int, Field(ge=1, le=4096)] = Field(24, description="Denoising steps over the whole response.")
    temperature: Annotated[float, Field(ge=0, le=10)] = Field(0.0, description="Gumbel noise; 0 takes the argmax.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Draw from the most probable tokens that together reach this share."
    )
    remasking: Remasking = Field(
        "low_confidence",
        description="Which masked positions are committed first: those whose token is most probable (Dream's "
        "maskgit_plus), leads by most (topk_margin), or has the lowest entropy, or any (random). origin is Dream's "
        "draw of each position by itself.",
    )
    cfg_scale: Annotated[float, Field(ge=0, le=20)] = Field(
        0.0, description="Classifier-free guidance away from what is written without the prompt; doubles the work."
    )
    suppress_eos: Literal["no", "tokens", "confidence"] = Field(
        "no", description="tokens: the response never ends. confidence: ends are committed last, at any temperature."
    )
    confidence_threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Commit every position whose token is more probable than this too: fewer steps, other tokens."
    )
    entropy_bound: NonNegativeFloat | None = Field(
        None,
        description="Commit positions as long as their entropies, but for the largest, sum to no more nats than this: "
        "fewer steps, other tokens.",
    )
    stop_early: bool = Field(True, description="Stop when the text is final: it ends before the first mask.")
    cache: Literal["none", "prefix"] = Field(
        "none",
        description="prefix keeps keys and values of the prompt and of finished blocks within a block: faster, other "
        "tokens.",
    )

    @check(mode="after")
    def _blocks_and_steps_divide(self) -> SamplingSpec:
        if self.length % self.block_length:
            raise ValueError(f"length ({self.length}) is not a multiple of block_length ({self.block_length})")
        blocks = self.length // self.block_length
        if self.steps % blocks or self.steps > self.length:
            raise ValueError(
                f"steps ({self.steps}) must be a multiple of the number of blocks ({blocks}) "
                f"and at most length ({self.length})"
            )
        return self

    @check(mode="after")
    def _modes_fit_together(self) -> SamplingSpec:
        if 0 < self.temperature < _LEAST_TEMPERATURE:
            raise ValueError(f"temperature is 0 or at least {_LEAST_TEMPERATURE:g}, not {self.temperature:g}")
        if self.remasking == "origin" and self.sampler != "dream":
            raise ValueError("remasking origin needs the times of sampler dream")
        if self.confidence_threshold is not None and self.remasking != "low_confidence":
            raise ValueError(f"confidence_threshold needs remasking low_confidence, not {self.remasking}")
        if self.entropy_bound is not None and self.remasking in ("random", "origin"):
            raise ValueError(f"entropy_bound needs an order by certainty, not remasking {self.remasking}")
        if self.confidence_threshold is not None and self.entropy_bound is not None:
            raise ValueError("set confidence_threshold or entropy_bound, not both")
        if self.cache != "none" and self.cfg_scale:
            raise ValueError("cache does not go together with cfg_scale")
        return self


class EvaluationSpec(Section):
    loss_every: PositiveInt | None = Field(
        None, description="Steps between evaluations of the held-out loss; once per epoch when left out."
    )
    score: bool = Field(True, description="Solve the held-out examples at the end (built-in tasks only).")


class RunSpec(Section):
    """Everything that determines a run. Two equal specs give the same numbers on the same machine."""

    model: ModelSpec = Field(default_factory=ModelSpec)
    data: DataSpec = Field(default_factory=DataSpec)
    objective: ObjectiveSpec = Field(default_factory=ObjectiveSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    sampling: SamplingSpec = Field(default_factory=SamplingSpec)
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    seed: Seed = Field(1, description="Keys data order, t and u: runs that share it see the same noise.")

    @check(mode="after")
    def _four_bits_stay_frozen(self) -> RunSpec:
        if self.model.quantisation != "none" and self.training.adapter != "lora":
            raise conflict(
                "model.quantisation",
                "training.adapter",
                f"{self.model.quantisation} weights cannot be trained themselves: set training.adapter to lora",
            )
        return self

    @check(mode="after")
    def _stored_rates_fit_their_tail(self) -> RunSpec:
        if self.objective.probe != "online" and self.data.eos_tail == "longest":
            raise conflict(
                "data.eos_tail",
                "objective.probe",
                f"longest gives an example another tail in every batch, and objective.probe {self.objective.probe} "
                "stores one rate per token: choose the tail block, max or one, or probe online",
            )
        return self

    def replace(self, changes: Mapping[str, Any]) -> RunSpec:
        """See `Section.replace`. A data set of another kind takes the place of the whole source, not of its name."""
        return super().replace(self._with_whole_source(changes))

    def _with_whole_source(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        dataset = changes.get(f"{_SOURCE}.dataset")
        is_whole = _SOURCE in changes or f"{_SOURCE}.kind" in changes
        if not isinstance(dataset, str) or is_whole:
            return dict(changes)
        if kind_of(dataset) == self.data.source.kind and not find_dataset(dataset):
            return dict(changes)
        source = {path.removeprefix(f"{_SOURCE}."): value for path, value in changes.items() if _is_of_source(path)}
        return {_SOURCE: source} | {path: value for path, value in changes.items() if not _is_of_source(path)}

    @classmethod
    def from_yaml(cls, path: Path) -> RunSpec:
        return cls.parse(read_yaml(path))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def differences(self, other: RunSpec) -> list[str]:
        """The dotted fields in which two runs differ."""
        return list(self.changed_values(other))

    def changed_values(self, other: RunSpec) -> dict[str, tuple[Any, Any]]:
        """The dotted fields in which two runs differ, and both values of each."""
        return _differences(self.model_dump(mode="json"), other.model_dump(mode="json"))


def _is_of_source(path: str) -> bool:
    return path.startswith(f"{_SOURCE}.")


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, {} where that is nothing; raises `SpecError`."""
    try:
        with path.open(encoding="utf-8") as file:
            # One more than is read, so that a longer file is refused.
            return read_yaml_text(file.read(LONGEST_YAML + 1)) or {}
    # Explicit tags and deep nesting are no errors of YAML's own.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SpecError(
            f"cannot be read as YAML: {error}",
            field=str(path),
            remedy="Check the path and the indentation.",
        ) from error


def micro_batch_size(spec: RunSpec, processes: int = 1) -> int:
    """Sequences that each process computes at once; raises `SpecError` if the batch cannot be divided into them."""
    size = spec.training.batch_size
    micro = spec.training.micro_batch_size or max(1, size // processes)
    if size % (micro * processes):
        raise SpecError(
            f"{size} sequences per step cannot be divided into micro-batches of {micro} on {processes} processes.",
            field="training.batch_size",
            remedy=f"Choose a multiple of {micro * processes}, or another training.micro_batch_size.",
        )
    return micro


def weight_dtype(spec: RunSpec) -> WeightDtype:
    """In what the weights lie. Those that are trained themselves lie in fp32: in bf16, most of an update would be
    rounded away."""
    return "fp32" if spec.model.dtype == "auto" and spec.training.adapter == "full" else spec.model.dtype


class ExperimentSpec(Section):
    """One base run repeated over methods and seeds. Runs of one seed share data order, t and u."""

    name: Annotated[Name, Field(max_length=120)] = Field(
        "", description="Shown in lists; a name is made up when empty."
    )
    run: RunSpec = Field(default_factory=RunSpec)
    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=8)] = ("sft", "gift")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=16)] = (1,)

    @check(mode="after")
    def _seeds_differ(self) -> ExperimentSpec:
        if len(set(self.seeds)) < len(self.seeds):
            raise conflict("seeds", "seeds", "each seed may stand in seeds once: for equal runs, name a method twice")
        return self

    def expand(self) -> list[tuple[str, RunSpec]]:
        """A label and a spec for each run, in the order they are queued."""
        repeated = {method for method in self.methods if self.methods.count(method) > 1}
        runs = []
        for seed in self.seeds:
            for index, method in enumerate(self.methods):
                label = method.upper()
                if method in repeated:
                    label += f" {'ABCDEFGH'[self.methods[: index + 1].count(method) - 1]}"
                if len(self.seeds) > 1:
                    label += f" seed {seed}"
                runs.append((label, self.run.replace({"objective.method": method, "seed": seed})))
        return runs


def field_table(section: type[BaseModel], prefix: str = "") -> list[tuple[str, str]]:
    """Every field below `section` as a dotted name and what it is, defaults included."""
    rows = []
    for name, info in section.model_fields.items():
        path = f"{prefix}{name}"
        sections = [kind for kind in alternatives(info.annotation) if is_section(kind)]
        for kind in sections:
            rows += field_table(kind, f"{path}.")
        if not sections:
            default = "required" if info.is_required() else repr(info.get_default(call_default_factory=True))
            rows.append((path, f"= {default}. {info.description or ''}"))
    return rows


def _differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted(one.keys() | other.keys()):
        left, right = one.get(name), other.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            found |= _differences(left, right, f"{prefix}{name}.")
        elif left != right:
            found[f"{prefix}{name}"] = left, right
    return found
