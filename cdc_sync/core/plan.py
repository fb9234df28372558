"""What should be: the shapes that a configuration asks for."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from cdc_sync.core.change import Field, Kind, Reference, Shape, Shapes, Table
from cdc_sync.core.keys import leaves, owner
from cdc_sync.errors import ConfigError

OPERATIONS = ("insert", "update", "delete")
CAPTURES = ("statement", "row")
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedTable:
    """A table as the DBA's file names it: its natural key, and what of it travels.

    ``exclude`` are columns that never leave, ``operations`` what travels, ``where`` a row filter. ``capture`` is how
    triggers fire, where the database has a choice; ``skip_unchanged`` leaves out updates that changed nothing, or of a
    view's base nothing that the view shows. A
    ``reference`` is looked up, not captured. A name with wildcards (``*``, ``?``) stands for every table that it fits,
    except ``excepted`` and those that have an entry of their own.

    A ``view`` is captured at its base, for which the plan makes an entry where the file has none: one that is there for
    its views only (``only_views``), and of which nothing travels under its own name. ``watch`` are the base's columns
    whose former values its views need.
    """

    name: str
    key: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    excepted: tuple[str, ...] = ()
    where: str = ""
    operations: tuple[str, ...] = OPERATIONS
    capture: str = CAPTURES[0]
    skip_unchanged: bool = False
    reference: bool = False
    view: bool = False
    only_views: bool = False
    watch: tuple[str, ...] = ()

    @property
    def of(self) -> str:
        """What the entry is about, in a word."""
        return "view" if self.view else "table"

    def asks_other(self, before: "SyncedTable | None") -> bool:
        """Whether the file asks for something else than before. What a base does for its views follows from these."""
        if before is None or before.only_views != self.only_views:
            return True
        return not self.only_views and replace(before, watch=self.watch) != self

    @property
    def is_pattern(self) -> bool:
        return bool(_WILDCARD.search(self.name))

    def fits(self, name: str) -> bool:
        return fnmatchcase(name, self.name) and not any(fnmatchcase(name, other) for other in self.excepted)


def expand(wanted: Sequence[SyncedTable], existing: Sequence[str]) -> list[SyncedTable]:
    """The entries with every wildcard replaced by the tables that it stands for.

    Raises ConfigError for a wildcard that fits no table, or where two fit the same one.
    """
    plain = [entry for entry in wanted if not entry.is_pattern or entry.name in existing]
    named = {entry.name: entry.name for entry in plain}
    found = list(plain)
    for entry in wanted:
        if entry in plain:
            continue
        fitting = [name for name in existing if entry.fits(name)]
        if not fitting:
            raise ConfigError(
                f"no table fits {entry.name!r}", hint="it has " + (", ".join(existing[:10]) or "no tables")
            )
        for name in fitting:
            other = named.setdefault(name, entry.name)
            if other == entry.name:
                found.append(replace(entry, name=name, excepted=()))
            elif other != name:
                raise ConfigError(
                    f"{other!r} and {entry.name!r} both fit table {name!r}", hint=f'write except = ["{name}"] in one'
                )
    return found


def filtered(table: SyncedTable, shape: Shape) -> list[str]:
    """The columns that a table's filter reads. Raises ConfigError for one that does not travel."""
    if not table.where:
        return []
    from cdc_sync.core import filters  # sqlglot costs a fifth of a second at every start; few files have a filter

    names = filters.columns(table.where, table.name)
    missing = next((name for name in names if name not in shape.names), None)
    if missing is not None:
        near = difflib.get_close_matches(missing, shape.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "name columns of the table that are captured"
        raise ConfigError(
            f"table {table.name!r}: its filter (where) names {missing!r}, which does not travel", hint=hint
        )
    return names


def check_names(wanted: Sequence[SyncedTable], described: Mapping[str, Table], existing: Sequence[str]) -> None:
    """Raise ConfigError for a table that the database does not have, with the nearest one that it has."""
    missing = next((entry for entry in wanted if entry.name not in described), None)
    if missing is not None:
        near = difflib.get_close_matches(missing.name, existing, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "it has " + (", ".join(existing[:10]) or "no tables")
        raise ConfigError(f"the database has no {missing.of} {missing.name!r}", hint=hint)


def check_whole(captured: Sequence[SyncedTable], described: Mapping[str, Table]) -> None:
    """Raise ConfigError for a table that may be written under another name, or whose rows cannot all be seen."""
    for entry in captured:
        table = described[entry.name]
        if table.parent:
            raise ConfigError(
                f"table {entry.name!r} is a partition or child of {table.parent}, through which it may be written too",
                hint=f'configure the whole: name = "{table.parent}"',
            )
        if table.veiled:
            raise ConfigError(
                f"row-level security hides rows of table {entry.name!r} from the role in the URL",
                hint="name a role with BYPASSRLS, or the table's owner where the policies do not bind it",
            )


def shapes(wanted: Sequence[SyncedTable], described: Mapping[str, Table]) -> Shapes:
    """The shapes of the configured tables and of every parent that a reference leads to.

    Raises ConfigError for a missing column, and for a reference that cannot be followed.
    """
    made = {entry.name: _shape(entry, described) for entry in wanted}
    pending = [reference for shape in made.values() for reference in shape.references]
    while pending:
        reference = pending.pop()
        if reference.table not in made:
            made[reference.table] = _shape(_parent(reference, described), described)
            pending += made[reference.table].references
    resolved = {name: _without_global_references(shape, made) for name, shape in made.items()}
    needed = reachable([entry.name for entry in wanted], resolved)
    for name in needed:
        leaves(resolved, name)
    return {name: resolved[name] for name in needed}


def parents(described: Mapping[str, Table]) -> set[str]:
    """Tables that are referred to but not described yet."""
    return {reference.table for table in described.values() for reference in table.references} - set(described)


def _shape(entry: SyncedTable, described: Mapping[str, Table]) -> Shape:
    table = described[entry.name]
    for column in (*entry.key, *entry.exclude):
        if table.column(column) is None:
            near = difflib.get_close_matches(column, table.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "it has " + ", ".join(table.names)
            raise ConfigError(f"table {entry.name!r} has no column {column!r}", hint=hint)
    lost = sorted(set(table.primary_key) & set(entry.exclude))
    if lost:
        raise ConfigError(
            f"table {entry.name!r} excludes {lost[0]!r}, which is part of its primary key",
            hint="take it out of exclude",
        )
    travelling = [c for c in table.columns if not c.generated and c.name not in entry.exclude]
    made = next((c.name for c in table.columns if c.generated and c.name in entry.key), None)
    if made is not None:
        raise ConfigError(
            f"key column {made!r} of table {entry.name!r} is generated", hint="name the columns behind it"
        )
    names = {column.name for column in travelling}
    return Shape(
        name=entry.name,
        fields=tuple(Field(name=column.name, kind=column.kind) for column in travelling),
        identity=table.told_apart_by(entry.key),
        key=entry.key,
        references=tuple(r for r in table.references if names.issuperset(r.columns)),
    )


def _parent(reference: Reference, described: Mapping[str, Table]) -> SyncedTable:
    """A parent that the configuration does not name: its key must speak for itself."""
    table = described[reference.table]
    required = {column.name for column in table.columns if not column.nullable}
    keys = [key for key in table.uniques if key != table.primary_key and required.issuperset(key)]
    if not keys and table.primary_key and not _handed_out(table):
        keys = [table.primary_key]
    if not keys:
        raise ConfigError(
            f"column {', '.join(reference.columns)!r} refers to table {reference.table!r}, "
            "which is not configured and has no natural key",
            hint=f'add [[tables]] with name = "{reference.table}" and its key, or exclude the column',
        )
    return SyncedTable(name=reference.table, key=keys[0], reference=True)


def _handed_out(table: Table) -> bool:
    """Whether the primary key is a number that each database hands out by itself."""
    return any(c.supplied or c.kind is Kind.INTEGER for c in table.columns if c.name in table.primary_key)


def _without_global_references(shape: Shape, made: Shapes) -> Shape:
    """Leave out references to a parent's own natural key where that is plain: such values mean the same everywhere."""
    kept = tuple(r for r in shape.references if not _is_global(r, made[r.table]))
    after = tuple(r for r in shape.references if r not in kept)
    return replace(shape, references=kept, after=after)


def _is_global(reference: Reference, parent: Shape) -> bool:
    return set(reference.target) <= set(parent.key) and all(
        owner(parent, column) is None for column in reference.target
    )


def reachable(names: Iterable[str], made: Shapes) -> list[str]:
    """These tables, and all that their references lead to."""
    found: dict[str, None] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = None
            pending += [reference.table for reference in made[name].references]
    return sorted(found)
