"""Every operation of the OpenAPI document, asked with what schemathesis makes of its schema.

No answer is a fault of the server, and each has a status, a type and a form that the document names.

Valid and invalid requests, by an admin with a key, and by nobody at a studio where everybody may look. Half of them
name things that there are, which random text never would. The suite asks for few examples, always the same. More of
them, others each time:

    GIFT_FUZZ_EXAMPLES=300 python -m pytest -n 2 --timeout 1200 tests/api/test_schemathesis.py

A stream has no end: of an answer that is one, the status, the type and the first line are read, within a time limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api import health
from api.app import PREFIX, api_routers, create_api
from gift_core.spec import ExperimentSpec, RunSpec
from tests.api.secured import key_of, person, secured_studio
from tests.carrying_out import carry_out
from tests.serving import serve
from ui.client import StudioClient
from workers.account_records import Role, Scope
from workers.orders import DatasetOrder, EvaluationOrder
from workers.records import JobKind
from workers.studio import Studio

MORE = int(os.environ.get("GIFT_FUZZ_EXAMPLES", "0"))
EXAMPLES = {"admin": MORE or 12, "nobody": MORE or 4}
# No request takes longer. Most take milliseconds; the first that computes loads a model.
SECONDS = 60
STREAM = "text/event-stream"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def operations() -> list[str]:
    """Method and path of every route of the API; what does away with things comes last."""
    found = [
        f"{method} {prefix}{route.path.replace(':path}', '}')}"
        for prefix, routers in ((PREFIX, api_routers), ("", (health.router,)))
        for router in routers
        for route in router.routes
        for method in sorted(route.methods - {"HEAD"})
        if route.include_in_schema
    ]
    return sorted(found, key=lambda operation: operation.startswith("DELETE"))


@dataclass(frozen=True)
class World:
    """A studio with one of everything at two addresses: the askers' headers by where they ask, and what there is."""

    schema: BaseSchema
    askers: Mapping[str, tuple[str, dict[str, str]]]
    known: Mapping[str, list[Any]]
    session: requests.Session


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    roomy = {"account_computations": 1000, "computations": 1000, "upload_limit_mb": 1}
    studio = secured_studio(tmp_path_factory.mktemp("studio"), embedded_worker=False, **roomy)
    open_studio = Studio(studio.settings.model_copy(update={"public": True}))
    app = create_api(studio)
    key = key_of(studio.accounts, person(studio.accounts, "admin", Role.ADMIN))
    with (
        pytest.MonkeyPatch.context() as patch,
        serve(app) as private,
        serve(create_api(open_studio)) as public,
        requests.Session() as session,
    ):
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        askers = {"admin": (private, key), "nobody": (public, {})}
        yield World(schemathesis.openapi.from_dict(app.openapi()), askers, _known(studio, private, key), session)
    studio.close()
    open_studio.close()


def _known(studio: Studio, url: str, key: dict[str, str]) -> dict[str, list[Any]]:
    """What there is, by the names that paths, queries and bodies have for it."""
    studio.show_recording()
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None)
    queued, trained = studio.store.runs(experiment.id)[0].id, studio.store.trained()[0].id
    account = person(studio.accounts, "somebody").id
    spare, _ = studio.accounts.create_key(account, "spare", [Scope.READ], None)
    order = DatasetOrder(checkpoints=("tiny",), run=RunSpec(), examples=4, seed=1, minimum_count=1)
    look, _ = studio.store.add_job(studio.new_job(JobKind.INSPECT, "a-look", "a look", order))
    evaluation, trace, dataset = _evaluation(studio), *_made_over_http(url, key)
    things: list[tuple[tuple[str, ...], list[Any]]] = [
        (("experiment_id", "experiment"), [experiment.id, "exp_recorded"]),
        (("run_id", "run"), [queued, trained, [queued, trained]]),
        (("job_id", "before"), [queued, trained, evaluation, look.id]),
        (("first", "second"), [trace, evaluation]),
        (("dataset_id", "dataset"), [dataset]),
        (("trace_id", "trace"), [trace, [trace]]),
        (("checkpoint", "checkpoints"), ["tiny", trained, ["tiny"], ["tiny", trained]]),
        (("evaluation_id",), [evaluation]),
        (("inspection_id",), [look.id]),
        (("topic",), [[f"job:{queued}", "queue"], [f"experiment:{experiment.id}"], [f"trace:{trace}"]]),
        (("name",), ["model/config.json", "job.log", "spec.yaml"]),
        (("account_id",), [account]),
        (("prefix",), [spare.prefix]),
    ]
    return {name: values for names, values in things for name in names}


def _evaluation(studio: Studio) -> str:
    """A finished one."""
    order = EvaluationOrder.model_validate(
        {"checkpoint": "tiny", "task": "word_problems", "source": {"kind": "generated", "count": 2}, "lengths": [16]}
    )
    job, _ = studio.store.add_job(studio.new_job(JobKind.EVALUATE, order.id, "tiny", order))
    assert carry_out(studio, job.id).state == "finished"
    return job.id


def _made_over_http(url: str, key: dict[str, str]) -> tuple[str, str]:
    """A finished trace, and a data set."""
    with StudioClient(url, credentials=lambda: key) as client:
        (trace,) = client.start_traces(["tiny"], "What is 2 + 2?", {"length": 8, "block_length": 8, "steps": 4})
        client.finished_traces([trace.id])
    rows = b'{"prompt": "What is 2 + 2?", "response": "4"}\n' * 4
    named = {"name": "sums.jsonl"}
    answer = requests.post(f"{url}{PREFIX}/datasets", data=rows, params=named, headers=key, timeout=SECONDS)
    return trace.id, answer.json()["id"]


def named(case: Case, choose: st.DataObject, known: Mapping[str, list[Any]]) -> None:
    """Put things that there are in place of generated names of the same type."""

    def replaced(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(key, each) for key, each in value.items()}
        fitting = [each for each in known.get(name, ()) if type(each) is type(value)]
        return choose.draw(st.sampled_from(fitting), label=name) if fitting else value

    for container in (case.path_parameters, case.query, case.body):
        if isinstance(container, dict):
            container.update(replaced("", dict(container)))


def ask(world: World, asker: str, case: Case) -> None:
    url, headers = world.askers[asker]
    request = case.as_transport_kwargs(base_url=url, headers=headers)
    with world.session.request(**request, stream=True, timeout=SECONDS, allow_redirects=False) as response:
        if response.ok and response.headers["content-type"].startswith(STREAM):
            # Nothing comes where all traces have ended and were had.
            assert next(response.iter_lines(), b"id:").partition(b":")[0] in (b"", b"event", b"id", b"data")
        else:
            case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize(("operation", "asker"), list(product(operations(), EXAMPLES)))
def test_every_answer_is_one_that_is_documented_and_no_fault(world: World, operation: str, asker: str) -> None:
    method, path = operation.split(" ")
    described = world.schema[path][method]
    cases = st.one_of(described.as_strategy(GenerationMode.POSITIVE), described.as_strategy(GenerationMode.NEGATIVE))

    @settings(
        max_examples=EXAMPLES[asker],
        derandomize=not MORE,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, exists=st.booleans(), choose=st.data())
    def asked(case: Case, exists: bool, choose: st.DataObject) -> None:
        if exists:
            named(case, choose, world.known)
        ask(world, asker, case)

    asked()


def test_every_documented_operation_is_asked(world: World) -> None:
    documented = {f"{found.ok().method.upper()} {found.ok().path}" for found in world.schema.get_all_operations()}
    assert documented == set(operations())
