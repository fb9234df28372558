"""Views as PostgreSQL describes them."""

from collections.abc import Mapping, Sequence

from cdc_sync.core import views
from cdc_sync.core.change import Table, View
from cdc_sync.databases.base import Session

_NOT_SYNCED = ("pg_catalog", "information_schema", "cdc_sync")


def described(session: Session, found: Mapping[str, Table], names: Sequence[str]) -> dict[str, Table]:
    """The views of these names with what they show; ``found`` are they as far as their columns go."""
    return {
        name: views.shown(
            _view(session, found[name], name, *row), found[name].columns, found[name].name, found[name].schema
        )
        for name, *row in session.run("view", names=list(names))
    }


def _view(
    session: Session,
    table: Table,
    name: str,
    materialized: bool,
    definition: str,
    fired: bool,
    writable: bool,
    aggregates: bool,
    sets: bool,
    changing: Sequence[str],
) -> View:
    from cdc_sync.core.views import definitions, viewing  # sqlglot costs a fifth of a second; few files have a view

    facts = viewing.Facts(columns=table.names, fired=fired, writable=writable, changing=tuple(changing))
    try:
        if materialized:
            raise definitions.Unfit("it is materialized, and shows its table as it was when it was refreshed")
        read = definitions.parse(definition, "postgresql")
        if aggregates:
            raise definitions.Unfit("it has an aggregate")
        if sets:
            raise definitions.Unfit("it has a function that returns a set")
        called = f"{read.schema}.{read.source}" if read.schema else read.source
        source = session.database.describe(session, [called]).get(called)
        if source is None or source.schema in _NOT_SYNCED:
            raise definitions.Unfit(f"it selects from {called!r}, which is no table that can be synced")
        return viewing.proxy(read, facts, source, called)
    except definitions.Unfit as why:
        return viewing.refused(name, str(why), facts)
