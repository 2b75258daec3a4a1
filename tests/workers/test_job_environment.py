"""The process of a job has what the user configured, and no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.settings import job_environment, push_environment

ROOT = Path(__file__).parents[2]
SECRETS = {
    **dict.fromkeys(
        ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GIFT_SECRET", "GIFT_HUB_TOKEN", "GIFT_WEBHOOK_SECRET"), "s1"
    ),
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OAUTH_CLIENT_SECRET"), "s2"),
    **dict.fromkeys(("GIFT_STORE_URL", "GIFT_QUEUE_URL", "GIFT_ARTEFACTS_URL", "GIFT_WEBHOOK_URLS", "GIFT_KEY"), "s3"),
    **dict.fromkeys(("WANDB_API_KEY", "OPENAI_API_KEY", "PGPASSWORD", "SSH_AUTH_SOCK"), "s4"),
}
PLACES = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME", "TORCH_HOME", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
COMMIT = "c0ffee" * 6 + "c0ff"


def test_every_job_has_caches_endpoint_and_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in PLACES:
        monkeypatch.setenv(name, f"/place/of/{name}")
    monkeypatch.setenv("HF_HOME", "below/here")
    monkeypatch.setenv("TORCH_HOME", "~/torch")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setenv("NCCL_P2P_DISABLE", "1")
    found = job_environment(1)
    assert {name: found[name] for name in PLACES if name not in ("HF_HOME", "TORCH_HOME")} == {
        name: f"/place/of/{name}" for name in PLACES if name not in ("HF_HOME", "TORCH_HOME")
    }
    assert found["HF_HOME"] == str(tmp_path / "below" / "here"), "a job has another working directory"
    assert found["TORCH_HOME"] == str(Path("~/torch").expanduser())
    assert (found["HF_ENDPOINT"], found["NCCL_P2P_DISABLE"]) == ("https://hub.example", "1")


def test_proxies_and_one_token_are_for_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SECRETS | dict.fromkeys(PROXIES, "http://me:s5@proxy")).items():
        monkeypatch.setenv(name, value)
    plain = job_environment(1)
    assert not {*PROXIES, *SECRETS} & set(plain)
    assert plain["HF_HUB_OFFLINE"] == plain["TRANSFORMERS_OFFLINE"] == "1"
    upload = plain | push_environment("hf_theirs")
    assert {name: upload[name] for name in PROXIES} == dict.fromkeys(PROXIES, "http://me:s5@proxy")
    assert (upload["HF_TOKEN"], upload["HF_HUB_OFFLINE"]) == ("hf_theirs", "0")
    assert not (set(SECRETS) - {"HF_TOKEN"}) & set(upload)


def test_a_login_on_this_machine_is_for_no_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_of_the_login")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    code = "from huggingface_hub.utils import build_hf_headers as h; print(h().get('authorization'))"
    assert ran(code, job_environment(1)) == "None"


@pytest.mark.parametrize(
    ("variable", "value", "cache"),
    [
        ("HF_HOME", "mine", "mine/hub"),
        ("HF_HUB_CACHE", "mine", "mine"),
        ("HUGGINGFACE_HUB_CACHE", "~/mine", "mine"),
        ("XDG_CACHE_HOME", "{here}/mine", "mine/huggingface/hub"),
    ],
)
def test_a_job_finds_every_model_that_the_pages_offer(tmp_path: Path, variable: str, value: str, cache: str) -> None:
    model = "Dream-org/Dream-v0-Base-7B"
    snapshot = tmp_path / cache / "models--Dream-org--Dream-v0-Base-7B" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (snapshot / name).write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    mine = {"HOME": str(tmp_path), variable: value.format(here=tmp_path), "HF_HUB_OFFLINE": "1"}
    caches = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
    plain = {name: value for name, value in os.environ.items() if name not in caches}
    offered = f"""
import json
from gift_core.models.catalogue import find_model, offered_models
from workers.settings import job_environment
print(json.dumps([str(find_model({model!r})), [each.name for each in offered_models()], job_environment(1)]))
"""
    folder, names, environment = json.loads(ran(offered, plain | mine | {"PYTHONPATH": str(ROOT)}, tmp_path))
    assert names == ["tiny", model]
    seen = ran(f"from gift_core.models.catalogue import find_model; print(find_model({model!r}))", environment, ROOT)
    assert Path(seen).resolve() == (tmp_path / folder).resolve() == snapshot


def ran(code: str, environment: dict[str, str], cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
