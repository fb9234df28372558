"""Connections to PostgreSQL: what every one of ours is set to, and which may be used again."""

import time
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

RESTED = 1.0
"""Seconds of rest after which a connection may be dead."""

# Text forms that every server reads back to the same value, whatever the role or database has set
# (notes: hostile DateStyle, IntervalStyle, TimeZone, extra_float_digits and bytea_output each broke a peer).
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "row_security": "off",  # rows that a policy hides are an error, not missing
    "client_encoding": "UTF8",
}


def engine(url: sa.URL) -> sa.Engine:
    """Connections to the URL's database; ``options`` in it are kept."""
    given = url.query.get("options", "")
    options = " ".join([str(given), *(f"-c {name}={value}" for name, value in _SETTINGS.items())]).strip()
    made = sa.create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args={"options": options, "application_name": "cdc-sync", "connect_timeout": 10},
    )
    sa.event.listen(made, "connect", _make_durable)
    sa.event.listen(made, "checkin", _note_use)
    sa.event.listen(made, "checkout", partial(_check_alive, made.dialect))
    return made


def _make_durable(connection: Any, _record: object) -> None:
    """What a receipt says must outlast a power cut, whatever the application has settled for."""
    connection.execute(
        "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _check_alive(dialect: sa.Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """The pool's own ping asks before every transaction, a third of what a small one costs: ask after a rest only."""
    if time.monotonic() > record.info.get("used", float("inf")) + RESTED:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error:
            raise DisconnectionError from None
