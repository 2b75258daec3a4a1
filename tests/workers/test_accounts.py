"""Accounts, keys and sessions in the store; keys on the command line; a studio from before there were accounts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel
from typer.testing import CliRunner

from workers import migrations
from workers.access.identity import Identity
from workers.account_records import AuditEntry, Role, Scope, Source
from workers.accounts import AccountStore, named_account
from workers.audit import AuditLog
from workers.database import Database
from workers.key_commands import commands
from workers.secret_texts import digest_of, new_key, new_token, prefix_of
from workers.store import ConflictError, NotFoundError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.in_file(tmp_path / "studio.sqlite3")
    yield database
    database.close()


@pytest.fixture
def accounts(database: Database) -> AccountStore:
    return AccountStore(database)


def test_secrets_are_long_random_and_all_different() -> None:
    keys = [new_key() for _ in range(200)]
    assert len({key.text for key in keys} | {new_token() for _ in range(200)}) == 400
    assert all(prefix_of(key.text) == key.prefix for key in keys)
    # 32 bytes, six bits a character.
    assert min(len(key.text.removeprefix(f"gift_{key.prefix}_")) for key in keys) == 43


@given(st.text(max_size=80))
def test_no_other_text_has_a_keys_form(text: str) -> None:
    assert prefix_of(text) is None
    assert len(digest_of(text)) == 64


def test_a_key_is_recognised_whole_and_kept_as_a_digest(
    accounts: AccountStore, database: Database, tmp_path: Path
) -> None:
    account = named_account(accounts, "ci", None)
    key, made = accounts.create_key(account.id, "nightly", [Scope.LAUNCH, Scope.READ], None)
    before = time.time()
    found = accounts.identify_key(made.text)
    assert found is not None
    # Notes of use are written beside the request.
    assert database.beside.flush(60)
    assert (found.account.id, found.scopes) == ("key:ci", {Scope.READ, Scope.LAUNCH})
    assert accounts.identify_key(made.text[:-1] + ("a" if made.text[-1] != "a" else "b")) is None
    with closing(sqlite3.connect(tmp_path / "studio.sqlite3")) as connection:
        assert connection.execute("SELECT digest FROM api_key").fetchall() == [(digest_of(made.text),)]
    assert before <= (accounts.key(key.prefix).last_used or 0) <= time.time()


@pytest.mark.parametrize("ended", ["revoked", "expired", "disabled"])
def test_a_key_that_has_ended_takes_its_sessions_along(
    accounts: AccountStore, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = named_account(accounts, "ci", None)
    expires = time.time() + 60
    key, made = accounts.create_key(account.id, "nightly", [Scope.READ], expires)
    found = accounts.identify_key(made.text)
    assert found is not None
    token = accounts.sessions.open(found, 60)
    assert accounts.sessions.identify(token) is not None
    if ended == "revoked":
        accounts.revoke(key.prefix)
    elif ended == "disabled":
        accounts.change(account.id, {"disabled": True})
    else:
        monkeypatch.setattr(time, "time", lambda: expires)
    assert accounts.identify_key(made.text) is None
    assert accounts.sessions.identify(token) is None


def test_a_session_that_is_over_counts_no_more_and_goes(accounts: AccountStore, tmp_path: Path) -> None:
    identity = Identity(accounts.ensure(Source.HUB, "1", "alice", Role.OWNER))
    over = accounts.sessions.open(identity, -1)
    assert accounts.sessions.identify(over) is None
    accounts.sessions.open(identity, 60)
    with closing(sqlite3.connect(tmp_path / "studio.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM browser_session").fetchone() == (1,)


def test_signing_in_again_keeps_the_role_that_an_admin_gave(accounts: AccountStore) -> None:
    alice = accounts.ensure(Source.HUB, "1", "alice", Role.OWNER)
    accounts.change(alice.id, {"role": Role.VISITOR})
    again = accounts.ensure(Source.HUB, "1", "alice-renamed", Role.OWNER)
    assert (again.id, again.name, again.role) == (alice.id, "alice-renamed", "visitor")


def test_what_is_not_there_is_said(accounts: AccountStore) -> None:
    named_account(accounts, "ci", Role.VISITOR)
    for look in (lambda: accounts.account("hub:0"), lambda: accounts.key("0"), lambda: accounts.revoke("0")):
        with pytest.raises(NotFoundError, match="list of"):
            look()
    with pytest.raises(ConflictError, match="its role is visitor"):
        named_account(accounts, "ci", Role.ADMIN)


def test_who_asked_first_owns_a_thing(accounts: AccountStore) -> None:
    accounts.claim("trace/1", "hub:1")
    accounts.claim("trace/1", "hub:2")
    accounts.claim("trace/2", "hub:2")
    assert accounts.owner("trace/1") == "hub:1"
    assert accounts.owner("trace/3") is None
    assert accounts.owned("trace", "hub:2") == {"2"}
    assert accounts.owned("tr", "hub:2") == set()
    accounts.disclaim("trace/1")
    accounts.claim("trace/1", "hub:2")
    assert accounts.owned("trace", "hub:2") == {"1", "2"}


def test_the_audit_log_is_read_page_by_page(database: Database) -> None:
    log = AuditLog(database)
    for number in range(5):
        log.add(AuditEntry(account_id=f"hub:{number % 2}", action="stop", thing=str(number), outcome="200"))
    first = log.page(2)
    rest = log.page(10, before=first[-1].id)
    assert [entry.thing for entry in first + rest] == ["4", "3", "2", "1", "0"]
    assert [entry.thing for entry in log.page(10, account_id="hub:1")] == ["3", "1"]


def test_refusals_are_counted_and_do_not_grow_the_log_without_end(database: Database) -> None:
    log = AuditLog(database, most_refusals=5)
    log.add(AuditEntry(account_id="local", action="sign_in", thing="/sign-in", outcome="done"))
    for number in range(20):
        log.add(AuditEntry(account_id="", action="sign_in", thing="/sign-in", outcome="refused", time=7200.0 + number))
    log.add(AuditEntry(account_id="hub:1", action="stop", thing="run_1", outcome="403", time=7300.0))
    log.add(AuditEntry(account_id="", action="sign_in", thing="/sign-in", outcome="refused", time=10_800.0))
    kept = [(entry.outcome, entry.time, entry.count, entry.last) for entry in log.page(10)][:-1]
    assert kept == [("refused", 10_800.0, 1, None), ("403", 7300.0, 1, None), ("refused", 7200.0, 20, 7219.0)]
    for number in range(20):
        entry = AuditEntry(account_id="", action="sign_in", thing="/", outcome="refused", address=f"10.0.0.{number}")
        log.add(entry)
    found = log.page(100)
    assert [entry.address for entry in found[:-1]] == [f"10.0.0.{number}" for number in range(19, 14, -1)]
    assert found[-1].outcome == "done", "what was done stays"


def test_keys_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(tmp_path))
    run = CliRunner().invoke
    made = run(commands, ["create", "--name", "ci", "--scope", "read", "--scope", "launch", "--days", "30"])
    assert made.exit_code == 0
    key = made.stdout.strip()
    prefix = prefix_of(key) or ""
    listed = run(commands, ["list"]).stdout
    assert listed.startswith(f"{prefix}\tci\tci (owner)\tread,launch\tuntil ")
    assert key not in listed
    database = Database.in_file(tmp_path / "studio.sqlite3")
    accounts = AccountStore(database)
    assert accounts.identify_key(key) is not None
    assert run(commands, ["revoke", prefix]).exit_code == 0
    assert accounts.identify_key(key) is None
    database.close()
    assert run(commands, ["list"]).stdout.endswith("\trevoked\n")
    refused = run(commands, ["revoke", "nothing"])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "There is no key 'nothing'" in refused.stderr


def test_a_studio_from_before_there_were_accounts_is_brought_up_to_date(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite3", tmp_path / "new.sqlite3"
    Database.in_file(new).close()
    with closing(sqlite3.connect(new)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        fresh = _columns(connection, tables)
    _without_accounts(old)
    database = Database.in_file(old)
    database.close()
    with closing(sqlite3.connect(old)) as connection:
        assert _columns(connection, tables) == fresh
        assert connection.execute("SELECT id, created_by FROM experiment").fetchall() == [("exp_1", "")]
    assert {"account", "api_key", "browser_session", "ownership", "audit_entry"} <= set(SQLModel.metadata.tables)


def _columns(connection: sqlite3.Connection, tables: set[str]) -> dict[str, set[tuple[str, str, int, int]]]:
    """Name, type, NOT NULL and place in the primary key, of every column."""
    rows = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in tables}
    return {table: {(row[1], row[2], row[3], row[5]) for row in found} for table, found in rows.items()}


def _without_accounts(path: Path) -> None:
    """What the version before had, with an experiment in it."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(migrations._config(connection), "0004")
        connection.execute(
            text(
                "INSERT INTO experiment (id, name, created, spec, request_fingerprint, created_by, stop_on_failure) "
                "VALUES ('exp_1', 'old', 1.0, '{}', '', '', 0)"
            )
        )
    engine.dispose()
