"""Natural keys: what a key column stands for once foreign keys are followed to their parents' keys.

A key column that belongs to a reference stands for the parent's natural key, and so on upwards. The plain columns at
the ends are the key's *leaves*; they mean the same on every node.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cdc_sync.core.change import Field, Reference, Shape, Shapes
from cdc_sync.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Plain:
    """A key column that is its own value everywhere."""

    column: str


@dataclass(frozen=True, slots=True)
class Through:
    """Key columns that stand for the natural key of a parent."""

    reference: Reference


Step = Plain | Through


def steps(shape: Shape) -> Iterator[Step]:
    """The natural key in order, each reference once, at its first column."""
    seen: set[tuple[str, ...]] = set()
    for column in shape.key:
        reference = owner(shape, column)
        if reference is None:
            yield Plain(column)
        elif reference.columns not in seen:
            seen.add(reference.columns)
            yield Through(reference)


def owner(shape: Shape, column: str) -> Reference | None:
    """The reference that decides the column's value on the target; the first one where several overlap."""
    return next((reference for reference in shape.references if column in reference.columns), None)


def leaves(shapes: Shapes, name: str) -> tuple[Field, ...]:
    """The plain columns at the ends of a table's natural key, in order; names are paths such as ``subject_id>code``."""
    return tuple(_walk(shapes, name, ()))


def _walk(shapes: Shapes, name: str, path: tuple[str, ...]) -> Iterator[Field]:
    if len(path) > len(shapes):
        raise ConfigError(
            f"the natural key of table {name!r} runs through itself",
            hint="choose key columns that do not lead back to the same table",
        )
    shape = shapes[name]
    for step in steps(shape):
        if isinstance(step, Plain):
            yield Field(name=">".join((*path, step.column)), kind=shape.kind(step.column))
        else:
            yield from _walk(shapes, step.reference.table, (*path, ",".join(step.reference.columns)))


def parents_first(shapes: Shapes) -> list[str]:
    """Table names with every parent before its children; tables of one cycle stay in name order."""
    ordered: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in ordered or name in visiting:
            return
        visiting.add(name)
        for reference in (*shapes[name].references, *shapes[name].after):
            if reference.table in shapes:
                visit(reference.table)
        ordered.append(name)

    for name in sorted(shapes):
        visit(name)
    return ordered
