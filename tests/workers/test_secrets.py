"""Whose token an upload gets."""

from __future__ import annotations

from pydantic import SecretStr

from workers.secrets import Secrets


def test_a_token_is_handed_out_once_and_never_replaced_by_the_studios() -> None:
    secrets = Secrets(SecretStr("the studio's"))
    secrets.keep("push_a", SecretStr("a person's"))
    assert secrets.hand_out("push_a", own=True) == "a person's"
    # As after a restart: who gave a token of their own does not upload in the studio's name.
    assert secrets.hand_out("push_a", own=True) == ""
    assert secrets.hand_out("push_b", own=False) == "the studio's"


def test_a_dropped_token_is_gone() -> None:
    secrets = Secrets(None)
    secrets.keep("push_a", SecretStr("a person's"))
    secrets.drop("push_a")
    assert secrets.hand_out("push_a", own=True) == secrets.hand_out("push_a", own=False) == ""
