"""Every endpoint, asked by every kind of caller, about their own things and about those of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.app import create_api
from api.permissions import Action, allow
from gift_core.spec import ExperimentSpec
from tests.api.secured import Asker, askers_of, person, secured_studio, session_of
from tests.serving import serve
from workers.account_records import Role, Scope
from workers.fairness.requester import Requester, Standing
from workers.live_traces import LiveTrace
from workers.records import Job, JobKind
from workers.studio import Studio
from workers.traces import TraceService

# The description of the API and its own files hold nothing of anybody's.
WITHOUT_RULE = {"/openapi.json", "/docs/files"}
# What has to be asked with another method than GET, and still is for everybody: the ways in and out.
ENTRANCES = {("POST", "/sign-in"), ("POST", "/sign-out")}


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    action: Action


@dataclass
class World:
    """Two servers over one studio, the second one open to who is not signed in."""

    studio: Studio
    private: str
    public: str
    askers: dict[str, Asker]
    ids: dict[str, dict[str, str]] = field(default_factory=dict)


def endpoints(app: FastAPI) -> list[Endpoint]:
    """All routes with their actions; fails for one that has none."""
    found = []
    for route in iter_route_contexts(app.routes):
        if route.path in WITHOUT_RULE:
            continue
        actions = [action for each in _calls(route.dependant) if (action := getattr(each, "action", None))]
        assert len(actions) == 1, f"{route.path} says who may ask for it {len(actions)} times, and must once"
        found += [Endpoint(method, route.path, actions[0]) for method in sorted(route.methods - {"HEAD"})]
    return found


def _calls(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    studio = secured_studio(tmp_path_factory.mktemp("studio"))
    open_studio = Studio(studio.settings.model_copy(update={"public": True}))
    apps = [create_api(studio), create_api(open_studio)]
    with serve(apps[0]) as private, serve(apps[1]) as public:
        made = World(studio, private, public, askers_of(studio))
        made.ids = {"own": _things(studio, "owner"), "other": _things(studio, "somebody")}
        for app, name in product(apps, ("owner", "somebody")):
            _begin_trace(app.state.services.traces, f"trace-of-{name}", person(studio.accounts, name).id)
        yield made
    studio.close()
    open_studio.close()


def _things(studio: Studio, name: str) -> dict[str, str]:
    """One of everything that a path can name, made by this person."""
    account = person(studio.accounts, name).id
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None, by=account)
    key, _ = studio.accounts.create_key(account, "spare", [Scope.READ], None)
    session_of(studio.accounts, person(studio.accounts, name))
    session = studio.accounts.sessions.all(account, 1)[0]
    studio.accounts.claim(f"dataset/dataset-of-{name}", account)
    jobs = {}
    for kind in (JobKind.INSPECT, JobKind.EVALUATE, JobKind.EXPORT):
        job = Job(id=f"{kind}-of-{name}", kind=kind, label=kind, spec={}, created_by=account)
        jobs[kind] = studio.store.add_job(job, account)[0].id
    return {
        "experiment_id": experiment.id,
        "run_id": studio.store.runs(experiment.id)[0].id,
        "trace_id": f"trace-of-{name}",
        "dataset_id": f"dataset-of-{name}",
        "inspection_id": jobs[JobKind.INSPECT],
        "evaluation_id": jobs[JobKind.EVALUATE],
        "job_id": jobs[JobKind.EXPORT],
        "name": "a-file",
        "prefix": key.prefix,
        "session_id": session.id,
        "account_id": account,
    }


def _begin_trace(traces: TraceService, identity: str, by: str) -> None:
    """A trace that has begun, and in which nothing happens."""
    traces._jobs.begin(
        identity,
        lambda: None,
        lambda: LiveTrace(identity, "tiny", "Tiny", Requester(by, Standing.OWNER)),
        lambda _: None,
    )


def verdict(endpoint: Endpoint, asker: Asker, *, is_own: bool, public: bool) -> int | None:
    """What the rules say: 401, 403, or None where the caller is let through."""
    rule = endpoint.action.rule
    if asker.invalid:
        return 401
    if asker.role is None and not (public and rule.role is Role.VISITOR):
        return 401
    # Nobody has anything of their own here but the owner.
    is_own = is_own and asker.role is Role.OWNER
    if asker.role is None:
        return 403 if rule.own else None
    if list(Role).index(asker.role) < list(Role).index(rule.role) or rule.scope not in asker.scopes:
        return 403
    return 403 if rule.own and not is_own and asker.role is not Role.ADMIN else None


def ask(url: str, endpoint: Endpoint, asker: Asker, ids: dict[str, str], http: httpx.Client) -> int:
    # The body is refused by every route that takes one, once the caller is let through: nothing is begun.
    body = {"json": {"nonsense": True}} if endpoint.method in ("POST", "PATCH", "PUT") else {}
    path = url + endpoint.path.replace(":path}", "}").format(**ids)
    return http.request(endpoint.method, path, headers=asker.headers, follow_redirects=False, **body).status_code


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_the_matrix(world: World, public: bool) -> None:
    asked = 0
    with httpx.Client(timeout=30) as http:
        for endpoint in endpoints(create_api(world.studio)):
            if endpoint.action is Action.ENTER:
                continue
            for (name, asker), whose in product(world.askers.items(), world.ids):
                if public and asker.role is not None:
                    continue
                expected = verdict(endpoint, asker, is_own=whose == "own", public=public)
                status = ask(world.public if public else world.private, endpoint, asker, world.ids[whose], http)
                told = status if status in (401, 403) else None
                assert told == expected, f"{name}, {endpoint.method} {endpoint.path}, {whose}: {status}"
                assert status < 500
                asked += 1
    assert asked > 100


def test_everybody_may_come_to_the_door(world: World) -> None:
    with httpx.Client(timeout=30) as http:
        for endpoint in endpoints(create_api(world.studio)):
            if endpoint.action is Action.ENTER:
                # The way to the Hub and back ends at the form, whose status says that nobody is signed in.
                assert ask(world.private, endpoint, world.askers["nobody"], {}, http) in (200, 303, 401, 503), endpoint


def test_a_route_without_a_rule_is_found(world: World) -> None:
    app = create_api(world.studio)

    async def forgotten() -> None: ...

    app.add_api_route("/api/v1/forgotten", forgotten)
    with pytest.raises(AssertionError, match="/api/v1/forgotten"):
        endpoints(app)


def test_what_changes_something_is_never_only_looking(world: World) -> None:
    for endpoint in endpoints(create_api(world.studio)):
        if endpoint.method != "GET" and (endpoint.method, endpoint.path) not in ENTRANCES:
            assert endpoint.action.rule.changes, endpoint


def test_an_action_on_ones_own_needs_to_know_whose_it_is() -> None:
    with pytest.raises(TypeError, match="who made it"):
        allow(Action.STOP)


def test_who_may_do_nothing_does_not_learn_what_there_is(world: World) -> None:
    visitor = world.askers["visitor"].headers
    there = httpx.post(f"{world.private}/api/v1/runs/{world.ids['own']['run_id']}/stop", headers=visitor)
    not_there = httpx.post(f"{world.private}/api/v1/runs/run_nowhere/stop", headers=visitor)
    assert there.status_code == not_there.status_code == 403
    assert there.json() == not_there.json()


def test_a_refusal_says_what_to_do(world: World) -> None:
    for name, status in (("nobody", 401), ("visitor", 403), ("owner's key to read", 403), ("revoked key", 401)):
        answer = httpx.post(f"{world.private}/api/v1/experiments", json={}, headers=world.askers[name].headers)
        problem = answer.json()["problems"][0]
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert problem["message"]
        assert problem["remedy"]
        assert ("www-authenticate" in answer.headers) == (status == 401)
