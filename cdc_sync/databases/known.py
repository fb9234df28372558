"""What the statements of ``known_*.sql`` need: the known rows beside a change table, and how to compare with them."""

from collections.abc import Iterable

from cdc_sync.databases.base import Database, Tracked
from cdc_sync.databases.sqlfiles import columns, fill_some, quote


def holes(database: Database, tracked: Tracked) -> dict[str, str]:
    """Everything that ``known_*.sql`` and ``known/*.sql`` may ask for; positions keep names out of the known rows."""
    known = [f"k{i}" for i in range(len(tracked.watched))]
    kept = dict(zip(tracked.watched, known, strict=True))
    old = dict(zip(tracked.watched, tracked.old, strict=True))
    identity = tracked.shape.identity
    return {
        "change": tracked.change,
        "known": database.known_name(tracked.change),
        "table": tracked.quoted,
        "captured": columns(tracked.shape.names),
        "watched": columns(tracked.watched),
        "old_watched": columns(tracked.old),
        "known_columns": columns(known),
        "apart": columns(kept[name] for name in identity),
        "here_named": ", ".join(f"{quote(name)} as {quote(kept[name])}" for name in identity),
        "there": columns(old[name] for name in identity),
        "moved": " or ".join(f"{quote(name)} is not {quote(old[name])}" for name in identity),
        "met": _same(identity, ("k", kept), ("e", kept)),
        "noted": _same(identity, ("k", kept), ("c", None)),
        "stands": _same(identity, ("t", None), ("c", None)),
        "same": _same(identity, ("t", None), ("k", kept)),
        "standing": columns(tracked.shape.names, "t."),
        "known_row": columns(known, "k."),
        "changed_known": " or ".join(f"t.{quote(name)} is distinct from k.{quote(k)}" for name, k in kept.items()),
    }


def fill(database: Database, name: str, tracked: Tracked) -> str:
    """The text of one of the files, filled."""
    return fill_some(database.text(name), holes(database, tracked))


def _same(
    identity: Iterable[str], one: tuple[str, dict[str, str] | None], other: tuple[str, dict[str, str] | None]
) -> str:
    """Rows under two names are one row."""

    def place(side: tuple[str, dict[str, str] | None], name: str) -> str:
        alias, kept = side
        return f"{alias}.{quote(kept[name] if kept else name)}"

    return " and ".join(f"{place(one, name)} = {place(other, name)}" for name in identity)
