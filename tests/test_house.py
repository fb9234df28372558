"""The rules of the house: who may know what, and how large a room may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cdc_sync"
MODULES = sorted(PACKAGE.rglob("*.py"))
DATABASES = ("sqlite", "postgresql")
LAYERS = [
    {"errors"},
    {"core"},
    {"databases", "transports"},
    {
        "config",
        "clock",
        "identity",
        "registry",
        "peers",
        "receipts",
        "held",
        "relay",
        "troubles",
        "renew",
        "wanted",
        "members",
        "capture",
        "follow",
        "own",
        "aside",
        "seal",
        "receive",
        "apply",
        "inbox",
        "bundles",
        "roads",
        "remotes",
        "enrolment",
        "delivery",
        "carrier",
        "ship",
        "loop",
        "inspection",
        "status",
        "doctor",
        "resync",
        "candidates",
        "rejoin",
        "verify",
        "counterparts",
    },
    {"web"},
    {"demo", "cli", "__main__", "__init__"},
]
OUTSIDE = {
    "psycopg": {"databases/postgresql.py"},
    "sqlite3": {"databases/sqlite.py"},
    "click": {
        "cli/__init__.py",
        "cli/carry.py",
        "cli/conflicts.py",
        "cli/inspect.py",
        "cli/letters.py",
        "cli/made.py",
        "cli/peers.py",
        "cli/receipts.py",
        "cli/rejoin.py",
        "cli/repair.py",
        "cli/serve.py",
        "cli/terminal.py",
    },
    "pyrage": {"transports/envelope.py"},
    "msgspec": {"core/wire.py"},
    "httpx": {"transports/http.py"},
    "starlette": {"web/answers.py", "web/app.py"},
    "uvicorn": {"web/protocol.py", "web/server.py"},
    "h11": {"web/protocol.py"},
    "backports": {"core/wire.py"},
    "sqlglot": {
        "core/filters.py",
        *(f"core/views/{name}.py" for name in ("calls", "definitions", "translation", "viewing")),
    },
}


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_outgrows_500_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_function_outgrows_50_lines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_run_one_way(path: Path) -> None:
    level = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    own = level[room(name(path))]
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "cdc_sync" and len(parts) > 1 and parts[1] in level:
            assert level[parts[1]] <= own, module


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_each_third_party_package_is_imported_where_it_belongs(path: Path) -> None:
    for module in imported(path):
        places = OUTSIDE.get(module.split(".")[0])
        assert places is None or name(path) in places, module


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=name)
def test_the_core_does_no_input_or_output(path: Path) -> None:
    forbidden = {"os", "io", "pathlib", "socket", "time", "datetime", "tempfile", "sqlalchemy", "logging", "subprocess"}
    assert not forbidden & {module.split(".")[0] for module in imported(path)}


def test_both_databases_have_files_of_the_same_names() -> None:
    first, second = ({file.name for file in (ROOT / "sql" / kind).glob("*.sql")} for kind in DATABASES)
    assert first == second


@pytest.mark.parametrize(
    "path", sorted((ROOT / "sql").rglob("*.sql")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_sql_file_says_what_enters_and_what_leaves(path: Path) -> None:
    header = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.startswith("--")
    )
    assert "Enters" in header
    assert "eaves" in header


def test_every_sql_file_is_used() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in MODULES)
    for kind in DATABASES:
        for path in (ROOT / "sql" / kind).rglob("*.sql"):
            called = path.relative_to(ROOT / "sql" / kind).with_suffix("").as_posix()
            assert f'"{called}"' in code, called
