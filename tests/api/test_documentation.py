"""The OpenAPI page tells everything that can be asked and every way it can fail."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from api.app import create_api
from api.examples import EXAMPLES
from gift_core.tasks.registry import TASKS

ROUTES = {
    ("get", "/models"),
    ("get", "/catalogue/datasets"),
    ("get", "/presets"),
    ("get", "/checkpoints"),
    ("get", "/examples"),
    ("post", "/experiments"),
    ("get", "/experiments"),
    ("get", "/experiments/{experiment_id}"),
    ("post", "/preflights"),
    ("get", "/runs"),
    ("get", "/runs/{run_id}"),
    ("post", "/runs/{run_id}/stop"),
    ("get", "/runs/{run_id}/log"),
    ("get", "/runs/{run_id}/spec"),
    ("get", "/metrics"),
    ("get", "/events"),
    ("post", "/datasets"),
    ("get", "/datasets"),
    ("post", "/datasets/checks"),
    ("post", "/datasets/allowances"),
    ("post", "/datasets/hub"),
    ("get", "/datasets/{dataset_id}"),
    ("delete", "/datasets/{dataset_id}"),
    ("post", "/previews"),
    ("post", "/inspections"),
    ("post", "/dataset-inspections"),
    ("get", "/dataset-inspections/{inspection_id}"),
    ("post", "/dataset-inspections/{inspection_id}/cancel"),
    ("post", "/traces"),
    ("get", "/traces"),
    ("get", "/traces/events"),
    ("get", "/traces/{trace_id}"),
    ("post", "/traces/{trace_id}/cancel"),
    ("post", "/traces/{trace_id}/branches"),
    ("get", "/comparisons"),
    ("post", "/evaluations"),
    ("get", "/evaluations"),
    ("get", "/evaluations/{evaluation_id}"),
    ("get", "/evaluations/{evaluation_id}/answers"),
    ("post", "/evaluations/{evaluation_id}/stop"),
    ("get", "/evaluation-comparisons"),
    ("post", "/responses"),
    ("post", "/exports"),
    ("post", "/pushes"),
    ("get", "/jobs"),
    ("get", "/jobs/{job_id}"),
    ("patch", "/jobs/{job_id}"),
    ("delete", "/jobs/{job_id}"),
    ("get", "/jobs/{job_id}/log"),
    ("get", "/jobs/{job_id}/files"),
    ("get", "/jobs/{job_id}/files/{name}"),
    ("get", "/jobs/{job_id}/archive"),
    ("post", "/jobs/{job_id}/stop"),
    ("post", "/jobs/{job_id}/resume"),
    ("post", "/jobs/{job_id}/retry"),
    ("post", "/jobs/{job_id}/undo"),
    ("post", "/jobs/{job_id}/clone"),
    ("post", "/jobs/{job_id}/continue"),
    ("get", "/queue"),
    ("post", "/queue/pause"),
    ("post", "/queue/resume"),
    ("get", "/devices"),
    ("get", "/session"),
    ("get", "/accounts"),
    ("patch", "/accounts/{account_id}"),
    ("get", "/keys"),
    ("post", "/keys"),
    ("delete", "/keys/{prefix}"),
    ("get", "/sessions"),
    ("delete", "/sessions/{session_id}"),
    ("get", "/audit"),
}

PROBES = ("/healthz", "/readyz", "/metrics")


# Lists that are short whatever the studio holds: what is on offer, the hosts, the files of one export, one comparison.
SHORT = {"/models", "/devices", "/jobs/{job_id}/files", "/evaluation-comparisons"}


@pytest.fixture
def schema(url):
    return httpx.get(f"{url}/openapi.json", timeout=60).json()


def operations(schema):
    return {(method, path): item for path, methods in schema["paths"].items() for method, item in methods.items()}


def test_lists_every_route(schema):
    expected = {(method, f"/api/v1{path}") for method, path in ROUTES} | {("get", path) for path in PROBES}
    assert set(operations(schema)) == expected


def test_every_error_is_described_as_a_problem_document(schema):
    for (_, path), operation in operations(schema).items():
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
        assert errors or path == "/healthz"
        for answer in errors.values():
            reference = answer["content"]["application/problem+json"]["schema"]["$ref"]
            assert reference.rsplit("/", 1)[-1] in schema["components"]["schemas"]


def test_every_way_in_which_a_route_can_fail_is_described(schema):
    for (method, path), operation in operations(schema).items():
        if path in PROBES:
            continue
        wanted = {"401", "403", "422", "429", "500", "503"}
        wanted |= {"404"} if "{" in path else set()
        wanted |= {"400", "408", "413"} if "requestBody" in operation else set()
        assert wanted <= set(operation["responses"]), f"{method} {path}"


def test_no_list_grows_without_a_bound(schema):
    lists = set()
    for (method, path), operation in operations(schema).items():
        answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        bounds = {each["name"] for each in operation.get("parameters", [])} & {"limit", "count"}
        if method == "get" and answer.get("type") == "array" and not bounds:
            lists.add(path.removeprefix("/api/v1"))
    assert lists == SHORT


def test_every_body_has_an_example_that_its_route_accepts(schema, studio):
    routes, asked = iter_route_contexts(create_api(studio).routes), 0
    bodies = ((each.methods, each.path, getattr(each, "body_field", None)) for each in routes)
    fields = {(method.lower(), path): field for methods, path, field in bodies for method in methods or ()}
    for (method, path), operation in operations(schema).items():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            examples = [each["value"] for each in content.get("examples", {}).values()]
            assert examples, f"{method} {path} has no example of its body"
            asked += 1
            if media_type != "application/json":
                assert all(json.loads(line) for each in examples for line in each.splitlines())
                continue
            for example in examples:
                _, errors = fields[method, path].validate(example, {}, loc=("body",))
                assert not errors, f"{method} {path}: {example}"
    assert asked == len(EXAMPLES), "an example is of a body that there is"


def test_an_example_of_a_launch_is_one_that_can_be_preflighted(client):
    looked_at = {name: client.preflight(example) for name, example in EXAMPLES["POST /preflights"].items()}
    assert [report.ok for report in looked_at.values()] == [True, False]


def test_the_documentation_page_and_the_health_check_answer(url):
    assert httpx.get(f"{url}/docs").status_code == 200
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}


def test_the_catalogue_offers_what_there_is_to_start_from(client):
    assert [model.name for model in client.models()] == ["tiny"]
    assert client.checkpoints()[0].id == "tiny"
    examples = client.examples(2)
    assert [example.title.split(":")[0] for example in examples] == [
        f"{task.title} {number}" for task in TASKS.values() for number in (1, 2)
    ]
    assert len({example.prompt for example in examples}) == len(examples)
    assert client.examples(1) == examples[::2]


def test_the_page_needs_no_other_host(url):
    page = httpx.get(f"{url}/docs").text
    linked = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert linked
    assert all(link.startswith("/docs/files/") for link in linked)
    assert all(httpx.get(f"{url}{link}").is_success for link in linked)
