"""Signing in with a browser: the admin's password, a key, the Hub; what the cookie is like, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_api
from tests.api.hub import CLIENT_ID, CLIENT_SECRET, Hub
from tests.api.secured import SECRET, key_of, person, secured_studio, stop_the_clock
from tests.serving import serve
from workers.account_records import Role, Scope
from workers.studio import Studio

COOKIE = "gift_session"
Open = Callable[..., tuple[Studio, httpx.Client]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens a studio with such settings, and a browser before it."""
    with ExitStack() as stack:

        def open_studio(**changes: Any) -> tuple[Studio, httpx.Client]:
            studio = secured_studio(tmp_path / "data", **changes)
            stack.callback(studio.close)
            app = create_api(studio)
            stop_the_clock(app)
            url = stack.enter_context(serve(app))
            return studio, stack.enter_context(httpx.Client(base_url=url, timeout=60))

        yield open_studio


def sign_in(browser: httpx.Client, secret: str, destination: str = "/runs") -> httpx.Response:
    return browser.post("/sign-in", data={"secret": secret, "next": destination})


def who(browser: httpx.Client) -> dict[str, Any]:
    return browser.get("/api/v1/session").json()


def test_the_password_makes_an_admin_until_signing_out(opened: Open) -> None:
    _, browser = opened()
    assert browser.get("/api/v1/runs").status_code == 401
    answer = sign_in(browser, SECRET)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    assert (who(browser)["role"], who(browser)["may_look"]) == ("admin", True)
    assert "Signed in as <b>admin</b>" in browser.get("/sign-in").text
    kept = browser.cookies[COOKIE]
    browser.post("/sign-out")
    assert browser.get("/api/v1/runs").status_code == 401
    browser.cookies.set(COOKIE, kept)
    assert browser.get("/api/v1/runs").status_code == 401, "a copy of the cookie ends with it"


def test_a_key_signs_in_with_its_scopes_and_takes_the_session_with_it(opened: Open) -> None:
    studio, browser = opened()
    key = key_of(studio.accounts, person(studio.accounts, "ci"), [Scope.READ])["Authorization"].split()[1]
    assert sign_in(browser, key).status_code == 303
    assert (who(browser)["name"], who(browser)["scopes"]) == ("ci", ["read"])
    assert browser.post("/api/v1/experiments", json={}).status_code == 403
    studio.accounts.revoke(key.split("_")[1])
    assert browser.get("/api/v1/runs").status_code == 401


def test_anything_else_is_refused(opened: Open) -> None:
    _, browser = opened()
    for wrong in ("", "no", SECRET[:-1], SECRET + "1", f"gift_0123456789_{'x' * 43}", "\x00ü"):
        answer = sign_in(browser, wrong)
        assert answer.status_code == 401
        assert "neither the password nor a valid key" in answer.text
        assert COOKIE not in answer.headers.get("set-cookie", "")


def test_guessing_is_slowed_down(opened: Open) -> None:
    _, browser = opened()
    answers = [sign_in(browser, f"guess {number}") for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert 0 < int(answers[-1].headers["retry-after"]) <= 6
    assert sign_in(browser, SECRET).status_code == 429, "the right one too: the answer does not tell"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"httponly", "samesite=lax", "path=/"}),
        ({"public_url": "https://studio.example"}, {"httponly", "samesite=lax", "secure", "path=/"}),
        (
            {"space_id": "a/b", "space_host": "a-b.hf.space"},
            {"httponly", "samesite=none", "secure", "partitioned", "path=/"},
        ),
    ],
)
def test_no_script_and_no_other_site_gets_the_cookie(opened: Open, settings: Any, expected: set[str]) -> None:
    _, browser = opened(**settings)
    cookie = sign_in(browser, SECRET).headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes - {"max-age=604800"} == expected


def test_signing_in_leads_nowhere_else(opened: Open) -> None:
    _, browser = opened()
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "runs", "/\t/evil.example", ""):
        assert sign_in(browser, SECRET, elsewhere).headers["location"] == "/"


def test_the_page_shows_what_it_was_given_as_text(opened: Open) -> None:
    _, browser = opened()
    page = browser.get("/sign-in", params={"next": '/runs"><script>alert(1)</script>'}).text
    assert "<script" not in page


def test_other_sites_cannot_use_the_cookie(opened: Open) -> None:
    _, browser = opened()
    sign_in(browser, SECRET)
    host = browser.base_url.netloc.decode()
    for headers, status in (
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}, 404),
        ({}, 404),
    ):
        answer = browser.post("/api/v1/runs/run_nowhere/stop", headers=headers)
        assert answer.status_code == status, headers
    assert browser.post("/sign-out", headers={"Origin": "https://evil.example"}).status_code == 403


def test_the_public_address_is_an_origin_of_its_own(opened: Open) -> None:
    _, browser = opened(public_url="https://studio.example/")
    sign_in(browser, SECRET)
    headers = {"Origin": "https://studio.example", "Cookie": f"{COOKIE}=none"}
    assert browser.post("/sign-out", headers=headers).status_code == 303


def test_a_key_makes_no_keys_and_an_admin_makes_them_for_others(opened: Open) -> None:
    studio, browser = opened()
    full = key_of(studio.accounts, person(studio.accounts, "owner"))
    refused = browser.post("/api/v1/keys", json={"name": "more"}, headers=full)
    assert (refused.status_code, refused.json()["problems"][0]["message"]) == (403, "A key does not make keys.")
    sign_in(browser, SECRET)
    made = browser.post("/api/v1/keys", json={"name": "nightly", "scopes": ["launch"], "role": "visitor"}).json()
    assert made["key"].startswith(f"gift_{made['prefix']}_")
    listed = browser.get("/api/v1/keys").text
    assert made["prefix"] in listed
    assert made["key"] not in listed
    account = next(each for each in browser.get("/api/v1/accounts").json()["items"] if each["name"] == "nightly")
    assert account["role"] == "visitor"
    browser.patch(f"/api/v1/accounts/{account['id']}", json={"role": "owner", "queued_runs": 3})
    changed = studio.accounts.account(account["id"])
    assert (changed.role, changed.queued_runs, changed.disabled) == ("owner", 3, False)


def test_an_admin_cannot_lock_themselves_out(opened: Open) -> None:
    _, browser = opened()
    sign_in(browser, SECRET)
    for change in ({"disabled": True}, {"role": "owner"}):
        assert browser.patch("/api/v1/accounts/local", json=change).status_code == 422


def test_the_audit_log_says_who_did_what(opened: Open) -> None:
    studio, browser = opened()
    sign_in(browser, "wrong")
    sign_in(browser, SECRET)
    made = browser.post("/api/v1/experiments", json={}, headers={"X-Request-ID": "req-7"})
    assert (made.status_code, made.headers["x-request-id"]) == (201, "req-7")
    owner = key_of(studio.accounts, person(studio.accounts, "owner"))
    run = made.json()["runs"][0]["id"]
    refused = browser.post(f"/api/v1/runs/{run}/stop", headers=owner)

    page = browser.get("/api/v1/audit", params={"limit": 2}).json()
    rest = browser.get("/api/v1/audit", params={"cursor": page["next"]}).json()
    assert rest["next"] is None
    told = [
        (each["account_id"], each["action"], each["thing"], each["outcome"]) for each in page["items"] + rest["items"]
    ]
    assert told == [
        ("hub:id-of-owner", "stop", f"/api/v1/runs/{run}/stop", "403"),
        ("local", "launch", made.json()["id"], "201"),
        ("local", "sign_in", "/sign-in", "done"),
        ("", "sign_in", "/sign-in", "refused"),
    ]
    assert [each["request_id"] for each in page["items"]] == [refused.headers["x-request-id"], "req-7"]
    assert {each["address"] for each in page["items"] + rest["items"]} == {"127.0.0.1"}


# The Hub


@pytest.fixture
def hub() -> Iterator[tuple[Hub, dict[str, Any]]]:
    """A provider, and the settings that a Space has for it."""
    provider = Hub()
    with serve(provider.app()) as address:
        yield (
            provider,
            {
                "openid_provider_url": address,
                "oauth_client_id": CLIENT_ID,
                "oauth_client_secret": CLIENT_SECRET,
                "secret": None,
            },
        )


def through_hub(browser: httpx.Client, destination: str = "/runs") -> httpx.Response:
    """The whole way: to the Hub, and what the studio says to who comes back."""
    left = browser.get("/oauth/login", params={"next": destination})
    assert left.status_code == 303
    back = httpx.get(left.headers["location"]).headers["location"]
    return browser.get(back.removeprefix(str(browser.base_url).rstrip("/")))


def test_who_signs_in_with_the_hub_is_an_owner(opened: Open, hub: Any) -> None:
    provider, settings = hub
    studio, browser = opened(**settings)
    answer = through_hub(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    assert (who(browser)["account"], who(browser)["name"], who(browser)["role"]) == ("hub:1234", "alice", "owner")
    provider.username = "alice2"
    through_hub(browser)
    assert [account.name for account in studio.accounts.accounts()] == ["alice2"], "the same person"


def test_who_made_the_space_is_its_admin(opened: Open, hub: Any) -> None:
    _, settings = hub
    _, browser = opened(**settings, space_creator_user_id="1234")
    through_hub(browser)
    assert who(browser)["role"] == "admin"


def test_an_answer_for_another_browser_is_not_taken(opened: Open, hub: Any) -> None:
    _, settings = hub
    studio, browser = opened(**settings)
    stranger = browser.get("/oauth/login")
    back = httpx.get(stranger.headers["location"]).headers["location"]
    browser.cookies.clear()
    answer = browser.get(back.removeprefix(str(browser.base_url).rstrip("/")))
    assert answer.status_code == 401
    assert not studio.accounts.accounts()


def test_an_answer_counts_once_and_only_with_its_own_code(opened: Open, hub: Any) -> None:
    _, settings = hub
    _, browser = opened(**settings)
    left = browser.get("/oauth/login")
    back = httpx.get(left.headers["location"]).headers["location"].removeprefix(str(browser.base_url).rstrip("/"))
    state = back.split("state=")[1]
    assert browser.get(f"/oauth/callback?code=stolen&state={state}").status_code == 401
    assert browser.get(back).status_code == 401, "the state is used up"


def test_a_disabled_account_stays_out(opened: Open, hub: Any) -> None:
    _, settings = hub
    studio, browser = opened(**settings)
    through_hub(browser)
    studio.accounts.change("hub:1234", {"disabled": True})
    assert browser.get("/api/v1/runs").status_code == 401
    assert through_hub(browser).status_code == 403


def test_a_hub_that_is_down_is_said(opened: Open) -> None:
    nowhere = {"openid_provider_url": "http://127.0.0.1:9", "oauth_client_id": "a", "oauth_client_secret": "b"}
    _, browser = opened(**nowhere)
    answer = browser.get("/oauth/login")
    assert answer.status_code == 502
    assert "The Hub does not answer" in answer.text


def test_on_a_space_whoever_comes_may_look_and_no_more(opened: Open, hub: Any) -> None:
    _, settings = hub
    _, browser = opened(**settings, space_id="a/b", space_host="a-b.hf.space")
    assert browser.get("/api/v1/runs").status_code == 200
    assert browser.post("/api/v1/experiments", json={}).status_code == 401
    assert who(browser)["role"] == Role.VISITOR
    left = browser.get("/oauth/login").headers["location"]
    assert "redirect_uri=https%3A%2F%2Fa-b.hf.space%2Foauth%2Fcallback" in left
    policy = browser.get("/sign-in").headers["content-security-policy"]
    assert "frame-ancestors 'self' https://huggingface.co" in policy
