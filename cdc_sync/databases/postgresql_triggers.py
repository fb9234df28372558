"""The application's triggers on PostgreSQL, which may be made to rest while a batch is applied."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cdc_sync.core.change import Table
from cdc_sync.databases import sqlfiles
from cdc_sync.databases.base import Database, Session
from cdc_sync.errors import ConfigError


@contextmanager
def resting(_database: Database, session: Session, tables: Sequence[Table]) -> Iterator[None]:
    """They are disabled and enabled again within the transaction, so that nobody else ever finds them disabled.

    Nothing else does it: ``session_replication_role`` would switch off foreign keys and their actions with them. It
    takes the table's owner, and has whoever writes the table wait until the batch is applied. Triggers that ask for
    ``cdc_sync.mute`` themselves need neither. Raises ConfigError where the role may not, before anything is applied.
    """
    places = [place for table in tables for place in ((table.schema, table.name), *table.branches)]
    schemas, names = [schema for schema, _ in places], [name for _, name in places]
    found = session.run("triggers/of", schemas=schemas, names=names)
    for schema, table, trigger, _, allowed in found:
        if not allowed:
            raise ConfigError(
                f"trigger {trigger!r} of table {table!r} is to be quiet, and only the table's owner can have it rest",
                hint=f"give the role in the URL the role that owns {schema}.{table}, or add to the trigger: "
                "when (current_setting('cdc_sync.mute', true) is distinct from 'on')",
            )
    if found:
        session.run("triggers/alone")
    for schema, table, trigger, *_ in found:
        session.run("triggers/rest", {"table": sqlfiles.quote(schema, table), "trigger": trigger})
    yield
    for schema, table, trigger, always, _ in found:
        holes = {"table": sqlfiles.quote(schema, table), "trigger": trigger}
        session.run("triggers/wake", {**holes, "enable": "enable always" if always else "enable"})
