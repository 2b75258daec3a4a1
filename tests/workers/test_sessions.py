"""Browser sessions and keys in the store: each ends with what it was begun with."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from workers import migrations
from workers.access.identity import Identity
from workers.account_records import Role, Scope, Source
from workers.accounts import AccountStore, named_account
from workers.audit import AuditLog
from workers.database import Database
from workers.key_commands import commands
from workers.store import NotFoundError

OLD, NEW = "the first secret of all", "another secret, chosen later"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def admin(accounts: AccountStore) -> Identity:
    return Identity(accounts.ensure(Source.LOCAL, "admin", "admin", Role.ADMIN), by_secret=True)


def hub(accounts: AccountStore, role: Role = Role.OWNER) -> Identity:
    return Identity(accounts.ensure(Source.HUB, "1", "alice", role))


def test_sessions_begun_with_the_secret_end_with_it(database: Database) -> None:
    before, after = AccountStore(database, OLD), AccountStore(database, NEW)
    token, others = before.sessions.open(admin(before), 60), before.sessions.open(hub(before), 60)
    assert AccountStore(database, OLD).sessions.identify(token), "a restart alone ends nothing"
    assert after.sessions.identify(token) is None
    assert AccountStore(database).sessions.identify(token) is None, "nor without a secret"
    assert after.sessions.identify(others) is not None
    assert [each.account_id for each in after.sessions.all()] == ["hub:1"]
    again = after.sessions.identify(after.sessions.open(admin(after), 60))
    assert again is not None
    assert again.session_id in {each.id for each in after.sessions.all()}
    assert before.sessions.identify(token), "put back, the secret is the same again"


def test_keys_made_in_such_a_session_end_with_it_and_so_do_their_sessions(database: Database) -> None:
    before, after = AccountStore(database, OLD), AccountStore(database, NEW)
    session = before.sessions.identify(before.sessions.open(admin(before), 60))
    assert session is not None
    _, made = before.create_key("local", "to stay", list(Scope), None, session.session_id)
    _, lasting = before.create_key("local", "made on the machine", list(Scope), None)
    of_key = before.identify_key(made.text)
    assert of_key is not None
    token = before.sessions.open(of_key, 60)
    assert after.identify_key(made.text) is None
    assert after.sessions.identify(token) is None
    assert after.identify_key(lasting.text) is not None
    assert after.sessions.all() == []


def test_a_session_that_has_ended_makes_no_key(database: Database) -> None:
    accounts = AccountStore(database, OLD)
    session = accounts.sessions.identify(accounts.sessions.open(admin(accounts), 60))
    assert session is not None
    assert session.session_id is not None
    accounts.sessions.end(session.session_id)
    with pytest.raises(NotFoundError, match="no session"):
        accounts.create_key("local", "late", [Scope.READ], None, session.session_id)
    assert accounts.api_keys() == []


def test_a_key_outlives_the_session_that_made_it(database: Database) -> None:
    accounts = AccountStore(database)
    session = accounts.sessions.identify(accounts.sessions.open(hub(accounts), 60))
    assert session is not None
    assert session.session_id is not None
    _, made = accounts.create_key("hub:1", "mine", [Scope.READ], None, session.session_id)
    accounts.sessions.end(session.session_id)
    assert accounts.identify_key(made.text) is not None


@pytest.mark.parametrize("changes", [{"disabled": True}, {"role": Role.VISITOR}])
def test_sessions_end_when_an_account_is_disabled_or_may_do_less(
    database: Database, changes: dict[str, object]
) -> None:
    accounts = AccountStore(database)
    token = accounts.sessions.open(hub(accounts), 60)
    accounts.change("hub:1", {"queued_runs": 3})
    accounts.change("hub:1", {"role": Role.OWNER})
    assert accounts.sessions.identify(token) is not None
    accounts.change("hub:1", changes)
    accounts.change("hub:1", {"disabled": False, "role": Role.ADMIN})
    assert accounts.sessions.identify(token) is None, "they do not come back"


def test_signing_in_takes_the_place_of_the_former_session(database: Database) -> None:
    accounts = AccountStore(database)
    first, elsewhere = (accounts.sessions.open(hub(accounts), 60) for _ in range(2))
    second = accounts.sessions.open(hub(accounts), 60, former=first)
    assert accounts.sessions.identify(first) is None
    assert accounts.sessions.identify(elsewhere) is not None
    assert accounts.sessions.identify(second) is not None
    planted = accounts.sessions.open(hub(accounts), 60, former="planted")
    assert planted != "planted"
    assert accounts.sessions.identify("planted") is None


def test_a_list_has_what_counts_page_by_page(database: Database) -> None:
    accounts = AccountStore(database)
    key, made = accounts.create_key(named_account(accounts, "ci", None).id, "k", [Scope.READ], None)
    identity = accounts.identify_key(made.text)
    assert identity is not None
    over = accounts.sessions.open(hub(accounts), -1)
    tokens = [accounts.sessions.open(hub(accounts), 60, address="10.0.0.1", browser="Firefox") for _ in range(3)]
    accounts.sessions.open(identity, 60)
    assert accounts.sessions.find(over) is None
    listed = accounts.sessions.all()
    assert [(each.means, each.key_prefix) for each in listed] == [("key", key.prefix)] + [("hub", None)] * 3
    assert [each.account_id for each in accounts.sessions.all(not_of="hub:1")] == ["key:ci"]
    first = accounts.sessions.all("hub:1", limit=2)
    rest = accounts.sessions.all("hub:1", after=(first[-1].created, first[-1].id))
    assert [each.id for each in first + rest] == [each.id for each in listed[1:]]
    assert {(each.address, each.browser) for each in first} == {("10.0.0.1", "Firefox")}
    accounts.sessions.end(first[0].id)
    accounts.sessions.end(first[0].id)
    assert len(accounts.sessions.all("hub:1")) == 2
    assert sum(accounts.sessions.find(token) is not None for token in tokens) == 2
    accounts.revoke(key.prefix)
    assert {each.means for each in accounts.sessions.all()} == {"hub"}


def test_use_is_noted_beside_the_request(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = AccountStore(database)
    token = accounts.sessions.open(hub(accounts), 1000)
    begun = accounts.sessions.all()[0].last_used
    later = time.time() + 100
    monkeypatch.setattr(time, "time", lambda: later)
    assert accounts.sessions.find(token) is not None
    assert database.beside.flush(60)
    assert accounts.sessions.all()[0].last_used == begun, "a look at it is no use"
    assert accounts.sessions.identify(token) is not None
    assert database.beside.flush(60)
    assert accounts.sessions.all()[0].last_used == later


def test_the_secret_is_kept_nowhere(tmp_path: Path) -> None:
    with closing(Database.in_file(tmp_path / "studio.sqlite3")) as database:
        accounts = AccountStore(database, OLD)
        token = accounts.sessions.open(admin(accounts), 60)
    with closing(sqlite3.connect(tmp_path / "studio.sqlite3")) as connection:
        rows = "\n".join(connection.iterdump())
    assert OLD not in rows
    assert token not in rows


def test_sessions_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(tmp_path))
    with closing(Database.in_file(tmp_path / "studio.sqlite3")) as database:
        accounts = AccountStore(database, OLD)
        first = accounts.sessions.open(admin(accounts), 60, address="10.0.0.1", browser="Firefox on Linux")
        rest = [accounts.sessions.open(hub(accounts), 60) for _ in range(2)]
        listed = CliRunner().invoke(commands, ["sessions"]).stdout.splitlines()
        assert len(listed) == 3, "also of a secret that this command does not know"
        line = next(line for line in listed if "\tadmin (admin)\tsecret\t" in line)
        assert line.endswith("\t10.0.0.1\tFirefox on Linux")
        ended = CliRunner().invoke(commands, ["sessions", "end", line.split("\t")[0]])
        assert (ended.exit_code, ended.stdout) == (0, f"Session {line.split(chr(9))[0]} has ended.\n")
        assert accounts.sessions.find(first) is None
        assert all(accounts.sessions.find(token) for token in rest)
        assert CliRunner().invoke(commands, ["sessions", "end", "--all"]).stdout == "2 sessions ended.\n"
        assert not any(accounts.sessions.find(token) for token in rest)
        for wrong in (["sessions", "end"], ["sessions", "end", "--all", "x"], ["sessions", "end", "nothing"]):
            refused = CliRunner().invoke(commands, wrong)
            assert refused.exit_code != 0
            assert refused.stdout == ""
        told = [(each.action, each.outcome, each.address) for each in AuditLog(database).page(10)]
        assert told == [("end_sessions", "done", "command line")] * 2


def test_sessions_of_an_older_studio_go_on_but_for_those_of_an_unknown_secret(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(migrations._config(connection), "0009")
        for account, source in (("local", "local"), ("hub:1", "hub")):
            connection.execute(
                text("INSERT INTO account VALUES (:i, 'a', :s, 'admin', 1, 0, NULL, NULL, NULL)"),
                {"i": account, "s": source},
            )
            connection.execute(
                text("INSERT INTO browser_session (digest, account_id, created, expires) VALUES (:d, :i, 1, 9e12)"),
                {"d": f"{source}-0123456789", "i": account},
            )
    engine.dispose()
    with closing(Database.in_file(path)) as database:
        (kept,) = AccountStore(database, OLD).sessions.all()
        assert (kept.account_id, kept.means, kept.last_used) == ("hub:1", "hub", 1)
