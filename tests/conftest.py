"""A PostgreSQL server for the session, and the pairs of databases that most journeys run between."""

import os
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from tests import servers
from tests.nodes import Side

PAIRS = ("sqlite-sqlite", "sqlite-postgresql", "postgresql-sqlite", "postgresql-postgresql")
Make = Callable[..., Side]
SEED = "CDC_SYNC_TEST_SEED"
"""The variable that may hold the seed of all random programs."""

settings.register_profile(
    "fast",
    settings.get_profile("default"),
    max_examples=15,
    deadline=None,
    derandomize=False,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("deep", settings.get_profile("fast"), max_examples=250)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


MEMORY = "/dev/shm"
"""A file system in memory, where the system has one: a fifth of the time is the disk's, which no test is about."""

ROOM = 4 * 1024**3
"""Bytes that must be free there."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One seed for all random programs of a run, chosen here so that it can be told; workers are given it too."""
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = MEMORY
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = os.environ.get(SEED) or str(random.randrange(2**32))


EVERYWHERE = (
    "test_random",
    "test_random_views",
    "test_crash",
    "test_chinook",
    "test_natural_keys",
    "test_changed_keys",
    "test_streams",
    "test_landing_on_views",
    "test_landing_through_views",
    "test_views_to_views",
)
"""Modules whose journeys are made between all four pairs under the deep profile."""


CASES = 2
"""Cases of one journey or command at most that are played outside of the deep profile."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each journey is made between two of the four pairs: alike ones, or unlike ones; of many cases, some are played.

    Which ones is decided by names and places: a run always plays the same, and all pairs are among them. Under the deep
    profile every case is played.
    """
    left_out = {item for item in items if not _is_made(item)}
    if settings.get_current_profile_name() != "deep":
        left_out |= set(_beyond([item for item in items if item not in left_out]))
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = _long_ones_first([item for item in items if item not in left_out])


LONG = (
    ("test_broken_roads", "test_http_flow"),
    ("test_random_postgresql", "test_random_sqlite"),
    ("test_random", "test_random_views", "test_model_of_waiting"),
)
"""Modules with tests that take minutes under the deep profile: those that mostly wait, and two halves that work."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: workers wait for servers and other processes a third of their time."""
    return (os.cpu_count() or 1) + 1


def _long_ones_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Three workers begin with a third of these each: the long ones lie where the thirds begin."""
    others = [item for item in items if not any(item.path.stem in modules for modules in LONG)]
    found: list[pytest.Item] = []
    for number, modules in enumerate(LONG, 1):
        found += [item for item in items if item.path.stem in modules]
        room = max(0, len(items) * number // len(LONG) - len(found))
        found, others = [*found, *others[:room]], others[room:]
    return [*found, *others]


def _beyond(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Of tests with more than so many cases, those that lie between cases at equal distances."""
    groups: defaultdict[tuple[Path, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent.name in ("journeys", "commands"):
            groups[item.path, item.originalname].append(item)
    for cases in groups.values():
        kept = {round(i * (len(cases) - 1) / (CASES - 1)) for i in range(CASES)}
        yield from (case for i, case in enumerate(cases) if len(cases) > CASES and i not in kept)


def _is_made(item: pytest.Item) -> bool:
    deep = settings.get_current_profile_name() == "deep"
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return True
    if deep and item.path.stem in EVERYWHERE:
        return True
    pair = next((PAIRS.index(value) for value in item.callspec.params.values() if value in PAIRS), None)
    alike = sum(item.originalname.encode()) % 2 == 0
    return pair is None or (pair in (0, 3)) == alike


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"random programs: --hypothesis-seed={config.option.hypothesis_seed}")


@pytest.fixture(scope="session")
def server() -> Iterator[sa.URL]:
    """The URL of a real PostgreSQL's maintenance database; one of ours is fast and forgetful."""
    settings = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "64MB"}
    settings |= {"wal_level": "minimal", "max_wal_senders": "0", "max_prepared_transactions": "8"}
    with servers.postgresql(**settings) as url:
        yield url


_RESET = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
do $$ declare name text; begin
    for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', name);
    end loop;
end $$;
do $$ begin execute format('alter database %I reset all', current_database()); end $$;
create schema public;
"""


@pytest.fixture(scope="session")
def emptied(server: sa.URL) -> Iterator[Callable[[], AbstractContextManager[str]]]:
    """Borrow an empty database: emptied and used again, because making and dropping one costs 0.3 s."""
    with ExitStack() as stack:
        free: list[str] = []

        @contextmanager
        def borrow() -> Iterator[str]:
            if not free:
                made = stack.enter_context(servers.database(server))
                free.append(made.render_as_string(hide_password=False))
            url = free.pop()
            yield url
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(_RESET)
            free.append(url)

        yield borrow


@pytest.fixture
def make_side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """``make_side(kind, name)``: an empty database of that kind, gone at the test's end."""
    with ExitStack() as stack:

        def make(kind: str, name: str) -> Side:
            if kind == "postgresql":
                url = stack.enter_context(request.getfixturevalue("emptied")())
            else:
                url = f"sqlite:///{tmp_path / name}.db"
            side = Side(kind, url, tmp_path)
            stack.callback(side.close)
            if kind == "sqlite":
                side.run("pragma synchronous = off")
                side.run("vacuum")
            return side

        yield make


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, make_side: Make) -> tuple[Side, Side]:
    """An empty source and an empty target, in all four combinations."""
    source, target = request.param.split("-")
    return make_side(source, "source"), make_side(target, "target")
