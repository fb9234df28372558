"""What a node's database remembers of itself: its identity, its captured tables, and what waits in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdc_sync import identity
from cdc_sync.core import plan
from cdc_sync.core.change import Shape, Table
from cdc_sync.core.plan import SyncedTable
from cdc_sync.core.wire import decode_settings, decode_shape
from cdc_sync.databases import Session
from cdc_sync.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A table as it was installed. ``change`` is the name of its change table, empty for one that is only looked up.

    A view has none either: ``base`` names the table at which it is captured, and ``declared`` says what it shows.

    ``settings`` is what the DBA's file said of it (None for a parent that it does not name), ``declared`` its columns
    with their types, ``digest`` that of the script that installed it. ``reread`` says that the next seal reads rows as
    they stand, because the changes that wait do not hold all of their columns.
    """

    name: str
    change: str
    shape: Shape
    settings: SyncedTable | None
    declared: str
    digest: str
    included: bool
    paused: bool
    reread: bool
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a node does with the batches of others. It stands in the database, for whoever comes by a connection to it.

    ``relays``: it keeps them until they are applied at its final destinations. ``applies``: to its own tables.
    """

    relays: bool = False
    applies: bool = True


def role(session: Session) -> Role:
    return next((Role(relays=bool(r), applies=bool(a)) for r, a in session.run("role")), Role())


def is_installed(session: Session) -> bool:
    return bool(session.run("exists")[0][0])


def registered(session: Session) -> dict[str, Registered]:
    """The tables that are captured, and those that are looked up for them, by name."""
    return {row[0]: _registered(*row) for row in session.run("captured")}


def _registered(
    name: str, change: str, shape: str, settings: str, declared: str, digest: str, *marks: object
) -> Registered:
    *flags, base = marks
    included, paused, reread = map(bool, flags)
    return Registered(
        name=name,
        change=change or "",
        shape=decode_shape(shape),
        settings=decode_settings(settings) if settings else None,
        declared=declared,
        digest=digest,
        included=included,
        paused=paused,
        reread=reread,
        base=str(base or ""),
    )


REWRITTEN = "its rows were rewritten"
"""The reason of a gap in which no row came, went or got another key (see ``follow_trigger.sql``)."""


def gaps(session: Session) -> dict[str, str]:
    """Change tables with a time in which changes were not captured, and why; open until the table is read again."""
    found = [(change, reason) for change, reason, *_ in session.run("gaps")]
    return dict(sorted(found, key=lambda gap: gap[1] != REWRITTEN))


def to_reread(session: Session) -> set[str]:
    """Change tables whose gap is closed by reading the table again, and in which rows may have gone."""
    return {change for change, reason, rereads, _ in session.run("gaps") if rereads and reason != REWRITTEN}


def rewritten(session: Session) -> set[str]:
    """Change tables of which every row may hold other values than any change tells."""
    return {change for change, reason, *_ in session.run("gaps") if reason == REWRITTEN}


def describe(session: Session, names: Sequence[str]) -> dict[str, Table]:
    """The tables of these names, and every table that they refer to, however far."""
    described = session.database.describe(session, list(names))
    while missing := plan.parents(described):
        found = session.database.describe(session, sorted(missing))
        if not found:
            break
        described |= found
    return described


def views(session: Session) -> list[str]:
    """The names under which views can be configured."""
    return [name for (name,) in session.run("views")]


def check_name(session: Session, name: str) -> None:
    """Raise ConfigError where the database belongs to another node."""
    for known, _, _ in session.run("node"):
        if known != name:
            raise ConfigError(
                f"this database belongs to node {known!r}, not {name!r}",
                hint=f'write name = "{known}", or run uninstall-triggers under that name first',
            )


def check_node(session: Session, row: tuple[object, ...], name: str, key_path: Path) -> None:
    """Raise ConfigError unless the database belongs to this node and this key."""
    check_name(session, name)
    if identity.load(key_path).public_key().public_bytes_raw() != row[2]:
        raise ConfigError(
            f"{str(key_path)!r} is not the key that this node was installed with", hint="put the right file back"
        )


def unsent(session: Session) -> int:
    """Changes that some destination has not applied: unsealed ones, and those in batches that wait."""
    return sum(unsealed(session).values()) + int(session.run("outbox_unreleased")[0][0])


def unsealed(session: Session) -> Mapping[str, int]:
    """Captured tables, each with the number of its changes that are in no batch yet."""
    return {name: waiting(session, entry.change) for name, entry in registered(session).items() if entry.change}


def waiting(session: Session, change: str) -> int:
    """How many changes wait in a change table."""
    count: int = session.run("count_changes", {"change": change}, change_table=change)[0][0]
    return count
