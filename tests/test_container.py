"""The container, the requirements and the project's file say the same; no container engine is needed to see that."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from fastapi import FastAPI
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.serving import free_port, serve
from workers.settings import Settings
from workers.startup.answering import answers

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Python versions that requirements.txt is for.
PYTHONS = ("3.11.0", "3.11.14", "3.12.3")


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile, with what follows it on one line."""
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#")))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines.splitlines()) if name]


def only(name: str) -> str:
    (found,) = [rest for each, rest in instructions() if each == name]
    return found


def test_port_address_and_folder_are_settings_and_agree() -> None:
    given = dict(part.split("=", 1) for part in only("ENV").split())
    names = {name: value for name, value in given.items() if name.startswith("GIFT_")}
    settings = Settings(**{name.removeprefix("GIFT_").lower(): value for name, value in names.items()})
    assert str(settings.port) == only("EXPOSE")
    assert str(settings.host) == "0.0.0.0"
    assert f"-m 700 {settings.data_dir}" in DOCKERFILE
    readme = (ROOT / "README.md").read_text("utf-8")
    assert (found := re.search(r"^app_port: (\d+)", readme, re.MULTILINE)) is None or found[1] == str(settings.port)


def test_everything_is_the_users_before_it_is_written_to() -> None:
    order = [name for name, _ in instructions()]
    user, work = order.index("USER"), order.index("WORKDIR")
    (made,) = [rest for name, rest in instructions()[user:work] if name == "RUN"]
    assert only("WORKDIR") in made
    assert [rest for name, rest in instructions() if name == "COPY" and "--chown=1000:1000" not in rest] == []
    assert "--uid 1000" in DOCKERFILE


def test_the_image_is_one_version_and_commands_take_no_shell() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", arguments["PYTHON_IMAGE"])
    assert only("FROM") == "${PYTHON_IMAGE}"
    for text in (only("CMD"), only("ENTRYPOINT"), only("HEALTHCHECK").partition("CMD ")[2]):
        assert all(isinstance(part, str) for part in json.loads(text))


def test_the_health_check_asks_where_the_studio_listens() -> None:
    program, *arguments = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    assert program == "python"

    def status(port: int) -> int:
        given = {name: value for name, value in os.environ.items() if not name.startswith("GIFT_")}
        # Which a proxy for the internet must not be asked for.
        given |= {"GIFT_HOST": "0.0.0.0", "GIFT_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
        return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=given, timeout=120).returncode

    app = FastAPI()
    app.add_api_route("/healthz", lambda: "alive")
    with serve(app) as url:
        assert status(int(url.rpartition(":")[2])) == 0
        assert not answers(f"{url}/elsewhere")
    with free_port() as free:
        assert status(free.getsockname()[1]) == 1


def pinned() -> dict[str, list[Requirement]]:
    lines = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    found: dict[str, list[Requirement]] = {}
    for line in lines:
        found.setdefault(canonicalize_name(Requirement(line).name), []).append(Requirement(line))
    return found


def needed(python: str) -> Iterator[str]:
    """All that the app needs, and what that needs, on Linux with this version of Python."""
    environment = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    waiting = [Requirement(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["app"])]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        each = waiting.pop()
        key = (canonicalize_name(each.name), frozenset(each.extras))
        if key in seen:
            continue
        seen.add(key)
        yield key[0]
        try:
            more = map(Requirement, requires(each.name) or ())
        except PackageNotFoundError:
            # For another version of Python.
            continue
        for one in more:
            if any(
                not one.marker or one.marker.evaluate(environment | {"extra": extra}) for extra in ("", *each.extras)
            ):
                waiting.append(one)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_that_is_needed_has_one_version(python: str) -> None:
    known = pinned()
    missing = {name for name in needed(python) if name not in known}
    assert {name for name in missing if not name.startswith(("nvidia-", "cuda-", "triton"))} == set()
    for name, found in known.items():
        assert [str(part.specifier)[:2] for part in found] == ["=="] * len(found), name


def test_what_is_installed_by_the_requirements_is_what_the_project_asks_for() -> None:
    known = pinned()
    for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["app"]):
        asked = Requirement(text)
        (found,) = known[canonicalize_name(asked.name)]
        version = Version(str(found.specifier).removeprefix("=="))
        assert version in asked.specifier, text


def test_every_package_that_is_imported_is_declared() -> None:
    declared = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    names = {canonicalize_name(Requirement(text).name) for text in declared}
    owners, own = packages_distributions(), {"gift_core", "workers", "api", "ui", "app"}
    files = [ROOT / "app.py", *(path for package in sorted(own - {"app"}) for path in (ROOT / package).rglob("*.py"))]
    undeclared = set()
    for path in files:
        for module in imported(path) - own - set(sys.stdlib_module_names):
            if not {canonicalize_name(owner) for owner in owners.get(module, [module])} & names:
                undeclared.add((module, path.relative_to(ROOT).as_posix()))
    assert undeclared == set()


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found
