"""What PostgreSQL's triggers do for one table: the texts of ``sql/postgresql/capture``, chosen and filled."""

from collections.abc import Callable, Iterable, Mapping

from cdc_sync.databases.base import Tracked
from cdc_sync.databases.sqlfiles import columns, fill, fill_first, fill_some, literal, quote

_STATEMENTS_UNCHANGED = """
        where not exists (
            select from old_rows o
            where :{same}
                and row(:{new_row})::pg_catalog.record operator(pg_catalog.*=) row(:{old_image})::pg_catalog.record)"""
_PAIRED_UNCHANGED = (
    "\n    where not row(:{new_row})::pg_catalog.record operator(pg_catalog.*=) row(:{old_image})::pg_catalog.record"
)
_ROWS_UNCHANGED = "row(:{new})::pg_catalog.record operator(pg_catalog.*=) row(:{old_values})::pg_catalog.record"


def is_plain(tracked: Tracked) -> bool:
    """Whether triggers fire per statement, and updates need not be paired."""
    return tracked.settings.capture == "statement" and not (tracked.table.branches or tracked.table.partitioned)


def change(tracked: Tracked) -> dict[str, str]:
    """What the change table's script needs."""
    declared = dict(tracked.declared)
    definitions = [f"{quote(name)} {declared[name]}" for name in tracked.shape.names]
    definitions += [f"{quote(old)} {declared[name]}" for old, name in zip(tracked.old, tracked.watched, strict=True)]
    return {"change": tracked.change, "definitions": ",\n    ".join(definitions)}


def _spelt_otherwise(names: Iterable[str], one: str, other: str) -> str:
    """Rows differ in their bytes: a decimal of another scale is equal, and yet a key of another spelling elsewhere."""
    first, second = (f"row({columns(names, prefix)})::pg_catalog.record" for prefix in (one, other))
    return f"{first} operator(pg_catalog.*<>) {second}"


class Texts:
    """The scripts of one table. ``guarded``: no event trigger follows it, so functions must bear a missing column."""

    def __init__(self, text: Callable[[str], str], tracked: Tracked, *, guarded: bool) -> None:
        self.text = text
        self.tracked = tracked
        self.guarded = guarded

    def script(self, functions: Mapping[str, str]) -> list[str]:
        """What starts the capture. ``functions`` are the names of the trigger functions."""
        named = {"change": self.tracked.change, **functions}
        bodies = fill_first("\n".join(self._functions()), {**named, **self._variants(named)})
        texts = ("\n".join((text, self.text("capture/always"))) for text in (self._triggers(), self._branch_triggers()))
        own, branches = (fill_first(text, named) for text in texts)
        lists = self._lists()
        root = {"table": self.tracked.quoted, "old_table": self._old_table()}
        return [
            fill_some(bodies, lists),
            fill_some(own, root),
            *(fill_some(branches, {"table": quote(*branch)}) for branch in self.tracked.table.branches),
            self._notes(bodies, branches if self.tracked.table.branches or self.tracked.table.partitioned else ""),
        ]

    def _functions(self) -> list[str]:
        if self.tracked.settings.capture == "row":
            return [self.text("capture/rows"), self.text("capture/truncate")]
        statements = [self.text("capture/statements"), self.text("capture/truncate")]
        return statements if is_plain(self.tracked) else [*statements, self.text("capture/pairing")]

    def _triggers(self) -> str:
        if self.tracked.settings.capture == "row":
            return self.text("capture/row_triggers") + "\n" + self.text("capture/truncate_trigger")
        return self.text("capture/statement_triggers" if is_plain(self.tracked) else "capture/branch_triggers")

    def _branch_triggers(self) -> str:
        """Those of each partition or child: a statement trigger fires for the table that a statement names."""
        if self.tracked.settings.capture == "row" and self.tracked.table.partitioned:
            return self.text("capture/truncate_trigger")
        return self._triggers()

    def _variants(self, named: Mapping[str, str]) -> dict[str, str]:
        """The pieces that only some tables' functions have."""
        guard = fill_some(self.text("capture/guard"), named) if self.guarded else ""
        return {"guard": guard, "unchanged": self._unchanged()}

    def _unchanged(self) -> str:
        skip, by_row = self.tracked.settings.skip_unchanged, self.tracked.settings.capture == "row"
        if by_row:
            return _ROWS_UNCHANGED if skip else "false"
        if not skip:
            return ""
        return _STATEMENTS_UNCHANGED if is_plain(self.tracked) else _PAIRED_UNCHANGED

    def _old_table(self) -> str:
        return "old table as old_rows " if self.tracked.settings.skip_unchanged else ""

    def _lists(self) -> dict[str, str]:
        """The lists of columns; ``cdc_sync.refit`` makes the same ones when columns change."""
        names, watched, old = self.tracked.shape.names, self.tracked.watched, self.tracked.old
        return {
            "captured": columns(names),
            "new": columns(names, "new."),
            "new_row": columns(names, "n."),
            "old_values": columns(names, "old."),
            "old_image": columns(names, "o."),
            "watched": columns(watched),
            "old_watched": columns(old),
            "old": columns(watched, "old."),
            "old_row": columns(watched, "o."),
            "first": columns(watched, "($1)."),
            "second": columns(watched, "($2)."),
            "same": " and ".join(f"n.{quote(name)} = o.{quote(name)}" for name in self.tracked.shape.identity),
            "changed": _spelt_otherwise(watched, "old.", "new."),
            "changed_row": _spelt_otherwise(watched, "n.", "o."),
        }

    def _notes(self, functions: str, triggers: str) -> str:
        old = dict(zip(self.tracked.watched, self.tracked.old, strict=True))
        declared = dict(self.tracked.declared)
        rows = [
            f"({place}, {literal(name)}, {literal(old[name]) if name in old else 'null'}, "
            f"{str(name in self.tracked.shape.identity).lower()}, {literal(declared[name])})"
            for place, name in enumerate(self.tracked.shape.names)
        ]
        return fill(
            self.text("capture/columns"),
            {
                "change": self.tracked.change,
                "table": self.tracked.quoted,
                "functions": functions,
                "triggers": triggers,
                "columns": ",\n    ".join(rows),
            },
        )
