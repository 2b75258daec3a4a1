"""The house rules that a reader can rely on: imports run one way, and what is dangerous is nowhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("gift_core", "workers", "api", "ui")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

_WEB = {"gradio", "gradio_client", "fastapi", "starlette", "uvicorn", "httpx"}
_STORAGE = {"huey", "sqlmodel", "sqlalchemy", "redis", "psycopg", "fsspec", "s3fs"}
# Only what a file itself imports is judged: the front end takes its types from `api.schemas`, which takes one
# enumeration from `workers.records`, and that is how `ui -> api -> workers` is meant.
FORBIDDEN = {
    "gift_core": _WEB | _STORAGE | {"plotly", "workers", "api", "ui", "app"},
    "workers": {"gradio", "fastapi", "starlette", "uvicorn", "api", "ui", "app"},
    "api": {"gradio", "torch", "transformers", "ui", "app"} | _STORAGE,
    "ui": {"workers", "torch", "transformers", "app"} | _STORAGE,
}
PICKLES = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it: `from a.b import c` is `a.b.c`."""
    for node in parsed(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{named(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_run_one_way(path: Path) -> None:
    imported = {name.split(".")[0] for name in imports(path)}
    assert imported.isdisjoint(FORBIDDEN[path.relative_to(ROOT).parts[0]] | PICKLES)


def test_the_front_end_knows_nothing_of_the_backend_but_its_types() -> None:
    imported = {name for path in (ROOT / "ui").rglob("*.py") for name in imports(path)}
    backend = {name for name in imported if name.split(".")[0] == "api"}
    assert backend
    assert all(name.split(".")[1].endswith(("schemas", "views", "pages")) for name in backend)


@pytest.mark.parametrize("path", [ROOT / "app.py", *FILES], ids=named)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    read = [
        f"line {node.lineno}: os.{node.attr}"
        for node in parsed(path)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    read += [name for name in imports(path) if name in ("os.environ", "os.environb", "os.getenv")]
    assert path == ROOT / "workers" / "settings.py" or not read


@pytest.mark.parametrize("path", [ROOT / "app.py", *FILES], ids=named)
def test_nothing_runs_text_as_code(path: Path) -> None:
    for node in parsed(path):
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile", "__import__"))
            assert not (isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "os.system")
            for option in node.keywords:
                if option.arg in ("shell", "trust_remote_code"):
                    assert ast.literal_eval(option.value) is False, f"line {node.lineno}: {option.arg}"


@pytest.mark.parametrize(
    "module",
    [
        "gift_core.spec",
        "gift_core.spec_reading",
        "gift_core.documents",
        "gift_core.dataset_document",
        "gift_core.preflight_document",
        "api.app",
        "ui.client",
    ],
)
def test_what_passes_data_on_stays_small(module: str) -> None:
    """A process that only checks specs or serves pages takes seconds and gigabytes less without torch."""
    program = f"import sys, {module}; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
