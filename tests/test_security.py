"""The whole studio with accounts: Gradio is not a way around them, and no secret is left anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.auth import request_address
from app import SHUTDOWN_SECONDS, create_app
from gift_core.spec import ExperimentSpec
from tests.api.hub import CLIENT_ID, CLIENT_SECRET, Hub
from tests.api.secured import SECRET, key_of, person, session_of
from tests.serving import free_port, serve, serve_on
from ui.client import StudioClient
from workers.account_records import Role
from workers.secret_texts import digest_of
from workers.settings import ConfigurationError, Settings
from workers.startup.listening import trusted_forwarders
from workers.studio import Studio

HUB_TOKEN = "hf_planted_token_that_nobody_may_find"


@dataclass
class Site:
    """A running studio with accounts, a second look at its data, and everything secret that it has seen."""

    url: str
    data: Path
    studio: Studio
    hub: Hub
    keys: list[str]

    def headers(self, name: str, role: Role = Role.OWNER) -> dict[str, str]:
        headers = session_of(self.studio.accounts, person(self.studio.accounts, name, role))
        self.keys.append(headers["Cookie"].partition("=")[2])
        return headers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data, hub = tmp_path_factory.mktemp("secured") / "data", Hub()
    with pytest.MonkeyPatch.context() as patched, serve(hub.app()) as provider, free_port() as listener:
        patched.setenv("HF_TOKEN", HUB_TOKEN)
        settings = Settings(
            data_dir=data,
            port=listener.getsockname()[1],
            embedded_worker=False,
            secret=SECRET,
            openid_provider_url=provider,
            oauth_client_id=CLIENT_ID,
            oauth_client_secret=CLIENT_SECRET,
        )
        with serve_on(listener, create_app(settings), shutdown_seconds=SHUTDOWN_SECONDS) as url:
            studio = Studio(settings)
            yield Site(url, data, studio, hub, [])
            studio.close()


class Script:
    """Calls the pages' events without the pages, with a visitor's credentials."""

    def __init__(self, site: Site, headers: dict[str, str], url: str | None = None) -> None:
        self._api = f"{url or site.url}/gradio_api"
        self._headers = headers
        config = httpx.get(f"{site.url}/config", headers=site.headers("reader")).json()
        self._events = [each for each in config["dependencies"] if each["backend_fn"]]
        self._parts = {part["id"]: part["props"] for part in config["components"]}
        self._named = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self.said = ""

    def load(self, filled: str) -> None:
        """What a page does when it opens: choices come into this input, and hold for the whole session."""
        events = (each for each in self._events if each["targets"][0][1] == "load")
        self._fire(next(each for each in events if self._named[filled] in each["outputs"]), {}, None)

    def fire(self, source: str, event: str, values: dict[str, Any] | None = None, data: Any = None) -> int:
        """The status, and in `said` what came of it; `values` replace what some inputs hold."""
        found = next(each for each in self._events if [self._named[source], event] in each["targets"])
        return self._fire(found, values or {}, data)

    def _fire(self, event: dict[str, Any], values: dict[str, Any], data: Any) -> int:
        replaced = {self._named[name]: value for name, value in values.items()}
        inputs = [replaced.get(part, self._parts[part].get("value")) for part in event["inputs"]]
        body = {"data": inputs, "event_data": data, "fn_index": event["id"], "session_hash": "a-script"}
        joined = httpx.post(f"{self._api}/queue/join", json=body, headers=self._headers)
        if joined.is_success:
            address = f"{self._api}/queue/data?session_hash=a-script"
            with httpx.stream("GET", address, headers=self._headers, timeout=60) as events:
                self.said = next(line for line in events.iter_lines() if "process_completed" in line)
        return joined.status_code


def queued(site: Site, owner: str = "") -> str:
    """A queued run of this account."""
    experiment, _ = site.studio.store.create_experiment(ExperimentSpec(), None, by=owner)
    return site.studio.store.runs(experiment.id)[0].id


def state(site: Site, run: str) -> str:
    return site.studio.store.job(run).state


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("POST", "/gradio_api/queue/join"),
        ("GET", "/gradio_api/queue/data?session_hash=x"),
        ("POST", "/gradio_api/call/_stop"),
        ("POST", "/gradio_api/call/_launch"),
        ("POST", "/gradio_api/run/_launch"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/upload"),
        ("POST", "//gradio_api/upload"),
        ("GET", "/gradio_api/file=/etc/hostname"),
        ("GET", "/runs"),
        ("GET", "/offline.html?trace=x"),
    ],
)
def test_nothing_of_gradios_answers_who_is_not_signed_in(site: Site, method: str, path: str) -> None:
    answer = httpx.request(method, f"{site.url}{path}", json={"data": []} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_a_browser_is_sent_to_sign_in_and_back(site: Site) -> None:
    with httpx.Client(base_url=site.url) as browser:
        browser.headers["Accept"] = "text/html"
        sent = browser.get("/runs?experiment=exp_1")
        assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2Fruns%3Fexperiment%3Dexp_1")
        assert browser.get(sent.headers["location"]).status_code == 200
        back = browser.post("/sign-in", data={"secret": SECRET, "next": "/runs?experiment=exp_1"})
        site.keys.append(browser.cookies["gift_session"])
        assert back.headers["location"] == "/runs?experiment=exp_1"
        assert browser.get(back.headers["location"]).status_code == 200


def test_an_event_stops_what_its_visitor_may_stop(site: Site) -> None:
    mine, other = site.headers("mine"), site.headers("other")
    run = queued(site, "hub:id-of-mine")
    refused = Script(site, other)
    assert refused.fire("runs", "submit", data={"name": "stop", "run": run}) == 200
    assert "Another account made this" in refused.said
    assert state(site, run) == "queued"
    assert Script(site, mine).fire("runs", "submit", data={"name": "stop", "run": run}) == 200
    assert state(site, run) == "stopped"


@pytest.mark.parametrize(("role", "launches"), [(Role.VISITOR, False), (Role.OWNER, True)])
def test_an_event_launches_for_its_visitor(site: Site, role: Role, launches: bool) -> None:
    before = {each.id for each in site.studio.store.experiments()}
    script = Script(site, site.headers(f"launching {role}", role))
    script.load("model")
    assert script.fire("launch", "click", {"model": "tiny", "nonce": "of this page"}) == 200
    made = [each for each in site.studio.store.experiments() if each.id not in before]
    assert [each.created_by for each in made] == ([f"hub:id-of-launching {role}"] if launches else [])
    assert launches or "it needs owner" in script.said


def test_a_front_end_elsewhere_has_the_same_door_and_no_key_of_its_own(site: Site, tmp_path: Path) -> None:
    run = queued(site, "hub:id-of-mine")
    with free_port() as listener:
        settings = Settings(api_url=site.url, data_dir=tmp_path, port=listener.getsockname()[1], host="0.0.0.0")
        with (
            serve_on(listener, create_app(settings), shutdown_seconds=SHUTDOWN_SECONDS) as url,
            httpx.Client(base_url=url) as browser,
        ):
            assert browser.get("/runs", headers={"Accept": "text/html"}).headers["location"] == "/sign-in?next=%2Fruns"
            assert browser.post("/gradio_api/queue/join", json={}).status_code == 401
            assert browser.get("/api/v1/runs").status_code == 401
            Script(site, site.headers("other"), url).fire("runs", "submit", data={"name": "stop", "run": run})
            assert state(site, run) == "queued"
            assert "password" in browser.get("/sign-in").text
            assert browser.post("/sign-in", content=b"x" * 20_000, headers={"Origin": url}).status_code == 413
            signed_in = browser.post("/sign-in", data={"secret": SECRET, "next": "/runs"}, headers={"Origin": url})
            assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/runs")
            site.keys.append(browser.cookies["gift_session"])
            assert browser.get("/runs").status_code == browser.get("/api/v1/runs").status_code == 200
            assert browser.post("/sign-out", headers={"Origin": "https://evil.example"}).status_code == 403
            headers = {"Cookie": f"gift_session={site.keys[-1]}"}
            Script(site, headers, url).fire("runs", "submit", data={"name": "stop", "run": run})
    assert state(site, run) == "stopped"


def test_another_sites_page_cannot_fire_an_event(site: Site) -> None:
    run = queued(site, "hub:id-of-mine")
    headers = site.headers("mine") | {"Origin": "https://evil.example"}
    assert Script(site, headers).fire("runs", "submit", data={"run": run}) == 403
    assert state(site, run) == "queued"


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/run/_launch"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_an_event_is_held_in_memory_only_if_it_is_small(site: Site, path: str, is_declared: bool) -> None:
    body = b'{"data": ["' + b"x" * 9 * 2**20 + b'"]}'
    content = body if is_declared else iter([body[: 2**20], body[2**20 :]])
    answer = httpx.post(f"{site.url}{path}", content=content, headers=site.headers("mine"), timeout=60)
    assert answer.status_code == 413


def test_a_visitor_may_not_hand_gradio_a_file(site: Site) -> None:
    files = {"files": ("rows.jsonl", b'{"prompt": "a", "response": "b"}\n')}
    url = f"{site.url}/gradio_api/upload"
    assert httpx.post(url, files=files, headers=site.headers("visiting", Role.VISITOR)).status_code == 401
    assert httpx.post(url, files=files, headers=site.headers("mine")).status_code == 200


def test_no_secret_is_left_on_disk_or_in_a_log(site: Site, caplog: Any, capfd: Any) -> None:
    """Everything that can be secret is used once, and then looked for."""
    # Below that is what the HTTP client of this test says of its own requests.
    caplog.set_level(logging.INFO)
    accounts = site.studio.accounts
    key = key_of(accounts, person(accounts, "with a key"))
    site.keys.append(key["Authorization"].split()[1])
    with httpx.Client(base_url=site.url, timeout=60) as browser:
        browser.post("/sign-in", data={"secret": SECRET})
        browser.post("/sign-in", data={"secret": site.keys[-1]})
        left = browser.get("/oauth/login").headers["location"]
        back = httpx.get(left).headers["location"]
        assert browser.get(back.removeprefix(site.url)).status_code == 303
        site.keys.append(browser.cookies["gift_session"])
        launched = browser.post("/api/v1/experiments", json={}, headers=key).json()
        made = browser.post("/api/v1/keys", json={"name": "spare"}).json()
        site.keys.append(made["key"])
        browser.post("/api/v1/experiments", content=b"{", headers=key)
        browser.get(f"/api/v1/runs/{launched['runs'][0]['id']}", headers=key)
    assert len(site.hub.tokens) == 1

    planted = [SECRET, CLIENT_SECRET, HUB_TOKEN, *site.keys, *site.hub.tokens]
    assert len(planted) > 8
    said = caplog.text + "".join(capfd.readouterr())
    files = {path: path.read_bytes() for path in site.data.rglob("*") if path.is_file()}
    digest = digest_of(site.keys[-1]).encode()
    assert any(digest in content for content in files.values()), "what is kept of a key is where it was looked for"
    for secret in planted:
        # The second half too: a key's prefix is not secret.
        for text in (secret, secret[len(secret) // 2 :]):
            assert text not in said
            assert not [path for path, content in files.items() if text.encode() in content]
    assert SECRET not in repr(site.studio.settings)
    assert SECRET not in json.dumps(site.studio.settings.model_dump(mode="json"))


@pytest.mark.parametrize("path", ["file=http://{}/", "file=HTTPS://{}/", "proxy=http://{}/", "file/http://{}/"])
def test_gradio_fetches_no_address_for_anybody(site: Site, path: str) -> None:
    address = site.url.removeprefix("http://") + "/healthz"
    answer = httpx.get(f"{site.url}/gradio_api/{path.format(address)}", headers=site.headers("mine"))
    assert answer.status_code == 403
    assert "fetches nothing" in answer.json()["problems"][0]["message"]


def test_a_file_that_is_an_address_is_not_downloaded(site: Site) -> None:
    script = Script(site, site.headers("mine"))
    claimed = {"path": f"{site.url}/healthz", "meta": {"_type": "gradio.FileData"}, "orig_name": "rows.jsonl"}
    script.fire("upload", "change", {"upload": claimed})
    assert "fetches nothing from addresses" in script.said


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "192.0.2.1"},
        {"space_id": "a/b"},
        {"space_id": "a/b", "openid_provider_url": "https://huggingface.co"},
    ],
)
def test_it_does_not_start_where_everybody_could_do_everything(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="GIFT_SECRET"):
        create_app(Settings(data_dir=tmp_path / "data", **settings))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0", "secret": SECRET}, {"host": "::1"}, {"host": "localhost"}])
def test_it_starts_where_somebody_has_to_sign_in_or_nobody_else_comes(settings: dict[str, Any]) -> None:
    Settings(**settings).check_exposure()


@pytest.mark.parametrize(
    ("peer", "trusted", "counted"),
    [
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "10.0.0.0/24", "203.0.113.9"),
        ("10.0.0.5", "10.0.0.6, 10.0.0.5", "203.0.113.9"),
        ("10.0.1.5", "10.0.0.0/24", "10.0.1.5"),
        ("127.0.0.1", "", "203.0.113.9"),
    ],
)
def test_an_address_is_believed_of_a_proxy_that_was_named(peer: str, trusted: str, counted: str) -> None:
    settings, app = Settings(trusted_proxies=trusted), FastAPI()
    app.add_api_route("/address", _address(settings))
    served = ProxyHeadersMiddleware(app, trusted_hosts=trusted_forwarders(settings))

    async def ask() -> str:
        transport = httpx.ASGITransport(served, client=(peer, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://studio") as http:
            # The first is what the visitor claims.
            return (await http.get("/address", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})).json()

    assert asyncio.run(ask()) == counted


def _address(settings: Settings) -> Callable[[Request], str]:
    def address(request: Request) -> str:
        return request_address(request, settings)

    return address


@pytest.mark.parametrize("trusted", ["0.0.0.0/0", "::/0", "*", "proxy.example"])
def test_nobody_is_believed_whom_nobody_named(trusted: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        Settings(trusted_proxies=trusted)


def test_a_short_secret_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        Settings(secret="too short")
    assert "too short" not in str(refused.value).replace("too_short", "")


@pytest.mark.slow
def test_a_whole_run_leaves_no_secret_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """From the launch to the checkpoint, with every secret where the studio's own process has it."""
    planted = {"GIFT_SECRET": SECRET, "HF_TOKEN": HUB_TOKEN, "OAUTH_CLIENT_SECRET": CLIENT_SECRET}
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    spec = {
        "name": "With secrets about",
        "run": {
            "data": {"source": {"kind": "task", "task": "word_problems", "examples": 16}, "held_out": 4},
            "training": {"epochs": 1, "batch_size": 8},
        },
        "methods": ["gift"],
        "seeds": [1],
    }
    with free_port() as listener:
        settings = Settings(data_dir=tmp_path / "data", port=listener.getsockname()[1], training_threads=1)
        with serve_on(listener, create_app(settings), shutdown_seconds=SHUTDOWN_SECONDS) as url:
            studio = Studio(settings)
            key = key_of(studio.accounts, person(studio.accounts, "with a key"))
            launched = httpx.post(f"{url}/api/v1/experiments", json=spec, headers=key, timeout=60).json()
            run = launched["runs"][0]["id"]
            with StudioClient(url, credentials=lambda: key) as client:
                ended = next(event for event in client.events(launched["id"]) if _has_ended(event))
            assert ended.data.state == "finished", studio.log(run)
            studio.close()
    files = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert any(path.name == "adapter_model.safetensors" or path.suffix == ".safetensors" for path in files)
    said = "".join(capfd.readouterr())
    for secret in [*planted.values(), key["Authorization"].split()[1]]:
        assert secret not in said
        assert not [path for path, content in files.items() if secret.encode() in content]


def _has_ended(event: Any) -> bool:
    return event.event == "run" and event.data.has_ended
