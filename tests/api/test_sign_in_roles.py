"""Who may launch after signing in with the Hub: by the kind of studio, by name, and by organization."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.test_sign_in import Open, hub, opened, through_hub, who  # noqa: F401 - fixtures
from workers.account_records import Role
from workers.settings import Settings

SPACE = {"space_id": "a/b", "space_host": "a-b.hf.space", "space_creator_user_id": "1"}
LAUNCH = {"run": {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}, "methods": ["sft"]}


def sign_in(browser: httpx.Client) -> dict[str, Any]:
    """Go through the Hub; cookies of a Space are for HTTPS only, and are passed on here."""
    through_hub(browser)
    return who(browser)


@pytest.mark.parametrize(
    ("changes", "organizations", "expected"),
    [
        ({}, (), "owner"),
        ({"sign_in_role": "visitor"}, (), "visitor"),
        ({"sign_in_role": "visitor", "sign_in_owners": ("bob", "Alice")}, (), "owner"),
        ({"sign_in_role": "visitor", "sign_in_owners": ("alice2",)}, (), "visitor"),
        ({"sign_in_role": "visitor", "sign_in_organizations": ("the-lab",)}, ("others", "The-Lab"), "owner"),
        ({"sign_in_role": "visitor", "sign_in_organizations": ("the-lab",)}, ("the-lab2",), "visitor"),
    ],
)
def test_settings_decide_who_is_an_owner(
    opened: Open,  # noqa: F811
    hub: Any,  # noqa: F811
    changes: dict[str, Any],
    organizations: tuple[str, ...],
    expected: str,
) -> None:
    provider, settings = hub
    provider.organizations = organizations
    _, browser = opened(**settings, **changes)
    session = sign_in(browser)
    assert (session["name"], session["role"]) == ("alice", expected)
    launched = browser.post("/api/v1/experiments", json=LAUNCH)
    assert launched.status_code == (201 if expected == "owner" else 403)
    assert bool(session["launch_refusal"]) == (expected == "visitor")
    if expected == "visitor":
        (problem,) = launched.json()["problems"]
        assert session["launch_refusal"] == f"{problem['message']} {problem['remedy']}"
        assert "GIFT_SIGN_IN_OWNERS" in problem["remedy"]
        assert browser.post("/api/v1/preflights", json=LAUNCH).status_code == 200, "trying stays open"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "owner"),
        (SPACE, "visitor"),
        ({**SPACE, "sign_in_role": "owner"}, "owner"),
        ({"sign_in_role": "visitor"}, "visitor"),
    ],
)
def test_newcomers_of_a_space_are_visitors(given: dict[str, Any], expected: str) -> None:
    assert Settings(**given).newcomer_role == expected


def test_a_role_of_the_rule_follows_the_rule_and_one_of_an_admin_stays(
    opened: Open,  # noqa: F811
    hub: Any,  # noqa: F811
) -> None:
    provider, settings = hub
    provider.organizations = ("the-lab",)
    studio, browser = opened(**settings, sign_in_role="visitor", sign_in_organizations=("the-lab",))
    assert sign_in(browser)["role"] == "owner"
    provider.organizations = ()
    assert sign_in(browser)["role"] == "visitor", "who leaves the organization is a visitor at the next sign-in"
    studio.accounts.change("hub:1234", {"role": Role.OWNER})
    assert sign_in(browser)["role"] == "owner"
    provider.organizations = ("the-lab",)
    studio.accounts.change("hub:1234", {"role": Role.VISITOR})
    assert sign_in(browser)["role"] == "visitor"


def test_who_is_not_signed_in_is_told_to(opened: Open, hub: Any) -> None:  # noqa: F811
    _, settings = hub
    _, browser = opened(**settings, public=True)
    assert "Sign in at /sign-in" in who(browser)["launch_refusal"]
    provider, _ = hub
    provider.organizations = ()
    assert sign_in(browser)["launch_refusal"] == ""


@pytest.mark.parametrize("names", ["a b/c", "-x", "https://huggingface.co/me"])
def test_what_is_no_name_of_the_hub_is_refused(names: str) -> None:
    with pytest.raises(ValueError, match="is no name of the Hub"):
        Settings(sign_in_owners=names)  # type: ignore[arg-type]
