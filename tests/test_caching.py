"""Every answer says what caches may keep, and what a browser has already is not sent again."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app import SHUTDOWN_SECONDS, create_app
from gift_core.spec import ExperimentSpec
from tests.api.secured import SECRET
from tests.gate_site import PAGES, ask, gradio_addresses
from tests.serving import free_port, serve_on
from workers.settings import Settings
from workers.studio import Studio

PRIVATE = "private, no-cache"
STATIC = ["/components/denoise.js", "/components/studio.css", "/components/plotly.min.js", "/docs/files/swagger-ui.css"]


@pytest.fixture(scope="module")
def app_and_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, httpx.Client, Studio]]:
    often = 1_000_000
    with free_port() as listener:
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("studio"),
            port=listener.getsockname()[1],
            embedded_worker=False,
            secret=SECRET,
            requests_per_minute=often,
            changes_per_minute=often,
        )
        app = create_app(settings)
        with (
            serve_on(listener, app, shutdown_seconds=SHUTDOWN_SECONDS) as address,
            httpx.Client(base_url=address, timeout=90, trust_env=False) as http,
        ):
            http.post("/sign-in", data={"secret": SECRET})
            studio = Studio(settings)
            yield app, http, studio
            studio.close()


@pytest.fixture
def site(app_and_site: tuple[FastAPI, httpx.Client, Studio]) -> httpx.Client:
    return app_and_site[1]


def test_no_answer_leaves_it_to_the_cache(app_and_site: tuple[FastAPI, httpx.Client, Studio]) -> None:
    app, site, _ = app_and_site
    addresses = [(method, route.path) for route in iter_route_contexts(app.routes) for method in route.methods or ()]
    assert len(addresses) > 60
    filled = [(method, path.replace(":path}", "}").replace("{", "").replace("}", "")) for method, path in addresses]
    asked = {*filled, *gradio_addresses(app), *(("GET", path) for path in (*PAGES, *STATIC))}
    asked |= {("GET", path) for path in ("/nothing", "/api/v1/nothing", "/components/nothing.js", "/assets/nothing.js")}
    asked |= {("DELETE", "/healthz"), ("OPTIONS", "/api/v1/runs"), ("GET", "/offline.html?trace=nothing")}
    # Last, since it ends the session.
    for method, path in sorted(asked, key=lambda each: each[1] == "/sign-out"):
        answer = ask(site, method, path)
        assert answer.headers.get("cache-control"), f"{method} {path}: {answer.status_code}"
        if path.startswith(("/api/", "/metrics", "/offline", "/gradio_api/queue")) or path in PAGES:
            rule = answer.headers["cache-control"]
            assert "private" in rule or "no-store" in rule, f"{method} {path}: {rule}"
    site.post("/sign-in", data={"secret": SECRET})


def test_files_logs_and_errors_are_private(app_and_site: tuple[FastAPI, httpx.Client, Studio]) -> None:
    _, site, studio = app_and_site
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None, by="")
    [run, *_] = studio.store.runs(experiment.id)
    studio.files(run).mkdir(parents=True)
    (studio.files(run) / "job.log").write_text("a line\n")
    for path in (f"/api/v1/runs/{run.id}/log", f"/api/v1/runs/{run.id}/spec", "/api/v1/runs/nowhere", "/metrics"):
        assert site.get(path).headers["cache-control"] == PRIVATE, path


def test_what_holds_a_secret_is_kept_nowhere(site: httpx.Client) -> None:
    made = site.post("/api/v1/keys", json={"name": "spare"})
    assert made.json()["key"]
    answers = [made, site.get("/sign-in"), site.post("/sign-in", data={"secret": "wrong"})]
    answers.append(site.post("/sign-in", data={"secret": SECRET}))
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" in answers[-1].headers


@pytest.mark.parametrize("path", STATIC)
def test_the_pages_own_files_are_asked_for_again_and_not_sent_again(site: httpx.Client, path: str) -> None:
    first = site.get(path)
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    again = site.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert site.get(path, headers={"If-None-Match": '"another"'}).content == first.content


def test_gradios_files_are_named_after_their_content_and_kept(site: httpx.Client) -> None:
    page = site.get("/").text
    script = page.partition('src="./assets/')[2].partition('"')[0]
    assert site.get(f"/assets/{script}").headers["cache-control"] == "public, max-age=31536000, immutable"
    assert site.get("/assets/nothing-12345678.js").headers["cache-control"] == PRIVATE
