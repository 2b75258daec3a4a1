"""A mistake in the environment is said in one line for each variable, and never repeats a password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import PASSWORD
from workers.settings import Settings, SettingsError, read_settings

ROOT = Path(__file__).parents[2]


def test_left_out_everything_is_in_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE", "QUEUE", "ARTEFACTS"):
        monkeypatch.delenv(f"GIFT_{name}_URL", raising=False)
    settings = read_settings()
    assert settings.store_url is settings.queue_url is settings.artefacts_url is None


def test_services_are_chosen_by_url_and_shown_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {
        "store_url": f"postgresql://studio:{PASSWORD}@db/studio",
        "queue_url": f"rediss://:{PASSWORD}@queue:6380/1",
        "artefacts_url": f"s3://bucket/prefix?endpoint_url=http://host:9000&key=k&secret={PASSWORD}",
    }
    for name, url in urls.items():
        monkeypatch.setenv(f"GIFT_{name.upper()}", url)
    settings = read_settings()
    assert {name: getattr(settings, name).get_secret_value() for name in urls} == urls
    assert PASSWORD not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_every_mistake_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_PORT", "many")
    monkeypatch.setenv("GIFT_STORE_URL", f"mysql://studio:{PASSWORD}@db/studio")
    monkeypatch.setenv("GIFT_QUEUE_URL", f"redis://:{PASSWORD}@queue:port/1")
    monkeypatch.setenv("GIFT_ARTEFACTS_URL", PASSWORD)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    said = [(problem.field, problem.message) for problem in refused.value.problems]
    assert [field for field, _ in said] == ["GIFT_PORT", "GIFT_STORE_URL", "GIFT_QUEUE_URL", "GIFT_ARTEFACTS_URL"]
    assert "The scheme of this URL is not known. Begin it with sqlite:// or postgresql://" in said[1][1]
    assert PASSWORD not in str(refused.value)
    with pytest.raises(ValueError, match="port") as plain:
        Settings()
    assert PASSWORD not in str(plain.value)


def test_the_studio_says_so_instead_of_starting() -> None:
    environment = {"GIFT_QUEUE_URL": f"amqp://studio:{PASSWORD}@host/"}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    said, why = done.stderr.splitlines()
    assert said == "The studio was not started."
    assert why.startswith("GIFT_QUEUE_URL: The scheme of this URL is not known.")


def test_every_setting_is_documented() -> None:
    table = (ROOT / "docs" / "operations.md").read_text("utf-8")
    names = [str(field.validation_alias or f"gift_{name}").upper() for name, field in Settings.model_fields.items()]
    assert [name for name in names if f"| `{name}` |" not in table] == []
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GIFT_HOST", "http://localhost", "without http:// and without a port. Write it like 127.0.0.1, ::1"),
        ("GIFT_HOST", "127.0.0.1:7860", "without its port"),
        ("GIFT_PORT", "0", "greater than or equal to 1"),
        ("GIFT_PORT", "70000", "less than or equal to 65535"),
        ("GIFT_API_URL", "studio.example:7860", "begins with http://"),
        ("GIFT_API_URL", "http://studio.example/api/v1", "ends before /api/v1"),
        ("GIFT_API_URL", f"http://me:{PASSWORD}@studio.example", "must not hold a user or a password"),
        ("GIFT_PUBLIC_URL", "studio.example", "Write it like https://studio.example.org"),
        ("GIFT_PUBLIC_URL", "https://[::1", "not valid"),
        ("OPENID_PROVIDER_URL", "huggingface.co", "Write it like https://huggingface.co."),
        ("GIFT_DATA_DIR", "~no-such-user/data", "There is no user"),
        ("GIFT_DATA_DIR", "$NO_SUCH_VARIABLE/data", "a variable that is not set"),
        ("GIFT_SECRET", "hunter22", "It needs at least 16 characters."),
        ("GIFT_SECRET", "", "It needs at least 16 characters."),
        ("GIFT_WEBHOOK_SECRET", "", "It needs at least 1 character."),
        ("GIFT_WEBHOOK_URLS", f"https://me:{PASSWORD}@hooks.example", "must not hold a user or a password"),
        ("GIFT_TRUSTED_PROXIES", "10.0.0.1/8, proxy", "not a valid"),
    ],
)
def test_a_value_that_cannot_be_is_said_with_its_variable_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert {problem.field for problem in refused.value.problems} == {variable}
    assert said in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert "hunter22" not in str(refused.value)


def test_an_empty_variable_counts_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "DATA_DIR", "API_URL", "STORE_URL", "HUB_TOKEN", "DEVICES", "TRUSTED_PROXIES"):
        monkeypatch.setenv(f"GIFT_{name}", "  " if name == "DATA_DIR" else "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = read_settings()
    assert (settings.host, settings.port, str(settings.data_dir)) == ("127.0.0.1", 7860, "data")
    assert settings.api_url is settings.store_url is settings.hub_token is None
    assert settings.cuda_visible_devices == "", "to CUDA that means no GPU"


def test_addresses_and_paths_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("GIFT_DATA_DIR", "~/studio")
    monkeypatch.setenv("GIFT_HOST", "[::1]")
    monkeypatch.setenv("GIFT_API_URL", "http://[::1]:7861/lab/")
    monkeypatch.setenv("GIFT_PUBLIC_URL", "https://Studio.Example:443/")
    settings = read_settings()
    assert (settings.data_dir, settings.host) == (Path("/home/someone/studio"), "::1")
    assert (settings.api_url, settings.base_url) == ("http://[::1]:7861/lab", "https://studio.example")
