"""A refusal never repeats a secret that a request's body holds, also where it has the wrong type or a misspelt name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_api
from tests.api.secured import key_of, person, secured_studio
from tests.serving import serve
from workers.account_records import Role
from workers.settings import Settings
from workers.studio import Studio

MARKER = "hf_pa55wordtext"
WRONG: tuple[Any, ...] = ([MARKER], {MARKER: MARKER}, {"token": MARKER}, [[MARKER]])
# What people write for the name of a field, and what they paste into the wrong one.
MISSPELT = ("tokn", "hub_token", "hf_token", "api_key", "key", "secret", "password", "Token")


def secrets_of(document: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Method, path and field of each secret that a body can hold, by the API's own description."""
    schemas = document["components"]["schemas"]

    def fields(schema: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if isinstance(schema, list):
            for each in schema:
                yield from fields(each, above)
        elif isinstance(schema, dict):
            if schema.get("format") == "password":
                yield above
            if (name := schema.get("$ref", "").rpartition("/")[2]) and len(above) < 5:
                yield from fields(schemas[name], above)
            for name, inner in schema.get("properties", {}).items():
                yield from fields(inner, (*above, name))
            for name in ("anyOf", "oneOf", "allOf", "items"):
                yield from fields(schema.get(name), above)

    return [
        (method.upper(), path, field)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for field in fields(content["schema"], ())
    ]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = secured_studio(tmp_path)
    yield studio
    studio.close()


def test_no_refusal_repeats_a_secret(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "api")
    app = create_api(studio)
    found = secrets_of(app.openapi())
    assert {("POST", "/api/v1/pushes", ("token",)), ("POST", "/api/v1/jobs/{job_id}/clone", ("token",))} <= set(found)
    admin = key_of(studio.accounts, person(studio.accounts, "admin", Role.ADMIN))
    with serve(app) as url, httpx.Client(base_url=url, headers=admin, timeout=60) as http:
        for method, path, field in found:
            where = path.format(**dict.fromkeys(("job_id", "run_id", "id"), "jo_none"))
            for value in WRONG:
                body: Any = value
                for name in reversed(field):
                    body = {name: body}
                refused(http.request(method, where, json=body))
            for name in MISSPELT:
                for value in (MARKER, *WRONG):
                    refused(http.request(method, where, json={name: value}))
            # The name of a field is said, whatever it is.
            for value in (MARKER, [MARKER], [[MARKER]]):
                refused(http.request(method, where, json=value))
            refused(http.request(method, where, content=f'{{"{field[-1]}": "{MARKER}"'))
    assert MARKER not in caplog.text


def refused(answer: httpx.Response) -> None:
    assert answer.status_code in (400, 404, 422), answer.text
    assert MARKER not in answer.text


def test_a_misspelt_setting_of_a_run_is_named_without_its_value(studio: Studio) -> None:
    admin = key_of(studio.accounts, person(studio.accounts, "admin", Role.ADMIN))
    with serve(create_api(studio)) as url, httpx.Client(base_url=f"{url}/api/v1", headers=admin, timeout=60) as http:
        answer = http.post("/experiments", json={"run": {"hub_token": MARKER}})
        assert "run.hub_token" in answer.text
        refused(answer)
        refused(http.post("/keys", json={"name": "mine", "key": MARKER}))


def test_settings_keep_their_secrets_in_every_form() -> None:
    """Each of them is of the type that shows stars."""
    names = {"secret", "webhook_secret", "webhook_urls", "hub_token", "store_url", "queue_url", "artefacts_url"}
    hidden = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert names | {"oauth_client_secret"} == hidden
