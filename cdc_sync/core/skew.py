"""Skew: what a target does not have of the shapes that are sent there.

A column that only the origin has is left out when rows are written, and with it a reference that it is part of. What
tells rows apart must be there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cdc_sync.core.change import Reference, Shape, Shapes, Table
from cdc_sync.core.keys import Through, steps
from cdc_sync.errors import SchemaMismatch


def lacking(shape: Shape, table: Table) -> list[str]:
    """The columns that travel and that the target does not have."""
    there = set(table.names)
    return [name for name in shape.names if name not in there]


def narrowed(shape: Shape, table: Table, where: str, *, sent: bool = True) -> Shape:
    """The shape without the columns that the target does not have; the same one where it has them all.

    ``sent``: rows are written there, not only looked up. Raises SchemaMismatch for a column that has to be there.
    """
    absent = set(lacking(shape, table))
    if not absent:
        return shape
    _check_key(shape, absent, where)
    if sent:
        _check_references(shape, absent, where)
    return replace(
        shape,
        fields=tuple(field for field in shape.fields if field.name not in absent),
        references=_kept(shape.references, absent),
        after=_kept(shape.after, absent),
    )


def _kept(references: tuple[Reference, ...], absent: set[str]) -> tuple[Reference, ...]:
    return tuple(reference for reference in references if absent.isdisjoint(reference.columns))


def _check_key(shape: Shape, absent: set[str], where: str) -> None:
    key = list(shape.key)
    for step in steps(shape):
        key += step.reference.columns if isinstance(step, Through) else ()
    missing = next((column for column in key if column in absent), None)
    if missing is not None:
        raise SchemaMismatch(
            f"{where}: table {shape.name!r} has no key column {missing!r}",
            hint='add it there, or say what it is called there: columns = { here = "there" }',
        )


def _check_references(shape: Shape, absent: set[str], where: str) -> None:
    """Of a reference of several columns all must go, or none: the others would point anywhere."""
    for reference in shape.references:
        missing = next((column for column in reference.columns if column in absent), None)
        if missing is not None and not absent.issuperset(reference.columns):
            raise SchemaMismatch(
                f"{where}: table {shape.name!r} has no column {missing!r}, "
                f"which refers to table {reference.table!r} together with others",
                hint=f'add it there, or write exclude = ["{missing}"]',
            )


def fitted(shapes: Shapes, roots: Iterable[str], described: Mapping[str, Table], where: str) -> dict[str, Shape]:
    """The shapes of the tables that rows are sent to (``roots``) and of all that they refer to, as the target has them.

    Raises SchemaMismatch for a table that it does not have, or a column that cannot be left out.
    """
    found: dict[str, Shape] = {}
    sent = set(roots)
    pending = sorted(sent)
    while pending:
        name = pending.pop()
        if name in found or name not in shapes:
            continue
        if name not in described:
            raise SchemaMismatch(
                f"{where} has no table {name!r}",
                hint='create it there, with the same columns, or say what it is called there: target = "..."',
            )
        found[name] = narrowed(shapes[name], described[name], where, sent=name in sent)
        for reference in found[name].references:
            _check_target(name, reference, described, where)
            pending.append(reference.table)
    return {name: found[name] for name in shapes if name in found}


def wanted(shapes: Shapes, sent: Iterable[str], described: Mapping[str, Table]) -> list[str]:
    """The tables that rows are sent to or looked up in, as far as the target's columns lead."""
    found: set[str] = set()
    pending = list(sent)
    while pending:
        name = pending.pop()
        if name in shapes and name not in found:
            found.add(name)
            absent = set(lacking(shapes[name], described[name])) if name in described else set()
            pending += [reference.table for reference in _kept(shapes[name].references, absent)]
    return [name for name in shapes if name in found]


def _check_target(name: str, reference: Reference, described: Mapping[str, Table], where: str) -> None:
    table = described.get(reference.table)
    missing = next((c for c in reference.target if table is not None and table.column(c) is None), None)
    if missing is not None:
        raise SchemaMismatch(
            f"{where}: table {reference.table!r} has no column {missing!r}, which table {name!r} refers to",
            hint='add it there, or say what it is called there: columns = { here = "there" }',
        )
