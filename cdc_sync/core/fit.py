"""Whether a target can take rows of the shapes that are sent there; what it lacks is named, with what to type."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cdc_sync.core import skew
from cdc_sync.core.change import Kind, Shape, Shapes, Table
from cdc_sync.core.keys import Plain, owner, steps
from cdc_sync.core.views import landing
from cdc_sync.core.views.landing import Landed
from cdc_sync.errors import SchemaMismatch


class Remedies(Protocol):
    """What to type in the target to mend it; each database says it in its own words."""

    def add_unique(self, table: str, columns: Sequence[str]) -> str: ...

    def set_not_null(self, table: str, column: str) -> str: ...

    def hand_out_numbers(self, table: str, column: str) -> str: ...


def check_target(
    wanted: Shapes, captured: Iterable[str], described: Mapping[str, Table], where: str, remedies: Remedies
) -> None:
    """Raise SchemaMismatch, naming what to add, unless the target can take rows of these shapes.

    Columns that it does not have are left out where they can be (see ``core.skew``).
    """
    sent = list(captured)
    check_landed(landing.land(wanted, described), sent or list(wanted), sent, where, remedies)


def check_landed(landed: Landed, roots: Sequence[str], sent: Sequence[str], where: str, remedies: Remedies) -> None:
    """The same for some of the units: ``roots`` are looked at with all that they refer to, ``sent`` are written."""
    landed.check(sent, where)
    fitted = skew.fitted(landed.shapes, roots, landed.described, where)
    place = _Place(landed, where, remedies)
    for shape in fitted.values():
        place.check_key(shape)
    for name in sent:
        place.check_columns(fitted[name])


def left_out(shapes: Shapes, captured: Iterable[str], described: Mapping[str, Table]) -> list[tuple[str, str]]:
    """Tables and columns of rows that are sent, where the target does not have the column.

    A primary key that is each database's own is no loss.
    """
    return [
        (name, column)
        for name in captured
        if name in described
        for column in skew.lacking(shapes[name], described[name])
        if column not in shapes[name].identity
    ]


class _Place:
    """The target's tables, as messages name them."""

    def __init__(self, landed: Landed, where: str, remedies: Remedies) -> None:
        self.landed, self.where, self.remedies = landed, where, remedies

    def _table(self, name: str) -> tuple[Table, str, str]:
        """What is written, what it is called in its database, and in words."""
        landing, table = self.landed.landings.get(name), self.landed.described[name]
        if landing is None:
            return table, name, f"table {name!r}"
        return table, landing.view.table or name, landing.called

    def check_key(self, shape: Shape) -> None:
        table, called, said = self._table(shape.name)
        landing = self.landed.landings.get(shape.name)
        if landing is not None and landing.through:
            return
        key = _key_columns(shape)
        needed = [*key, *(landing.pinned if landing else ())]
        if not any(set(unique) <= set(needed) for unique in table.uniques):
            listed = ", ".join(f'"{column}"' for column in needed)
            raise SchemaMismatch(
                f"{self.where}: {said} has no unique constraint on its key ({listed})",
                hint=self.remedies.add_unique(called, needed),
            )
        nullable = next((c.name for c in table.columns if c.name in key and c.nullable), None)
        if nullable is not None:
            raise SchemaMismatch(
                f"{self.where}: key column {nullable!r} of {said} may be null",
                hint=self.remedies.set_not_null(called, nullable),
            )

    def check_columns(self, shape: Shape) -> None:
        table, called, said = self._table(shape.name)
        landing = self.landed.landings.get(shape.name)
        if landing is not None and landing.through:
            return
        given = {*shape.names, *(landing.fixed if landing else ())}
        for column in table.columns:
            if not (column.name in given or column.nullable or column.supplied or column.generated):
                raise SchemaMismatch(
                    f"{self.where}: column {column.name!r} of {said} must not be null, and no value comes for it",
                    hint="give it a default there",
                )
            if _needs_own_number(column.name, shape, table):
                raise SchemaMismatch(
                    f"{self.where}: primary key {column.name!r} of {said} hands out no numbers of its own",
                    hint=self.remedies.hand_out_numbers(called, column.name),
                )


def _key_columns(shape: Shape) -> list[str]:
    columns: list[str] = []
    for step in steps(shape):
        columns += [step.column] if isinstance(step, Plain) else [c for c in step.reference.columns if c in shape.key]
    return columns


def _needs_own_number(name: str, shape: Shape, table: Table) -> bool:
    column = table.column(name)
    if column is None or name not in table.primary_key or name in shape.key or owner(shape, name) is not None:
        return False
    return column.kind is Kind.INTEGER and not column.supplied
