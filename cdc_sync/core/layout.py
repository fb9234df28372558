"""How the rows of one table stand in a batch's parts, and in the target's staging table: the same columns, in order.

Staged columns have short names of their own (``v0``, ``r0`` ...), so that no name in the DBA's schema can be too long
or collide. ``seq``, ``op`` and ``at`` come first, then

* ``v``: the row's columns as they stood at the source;
* ``r``: for each reference, the leaves of the parent's natural key *now*, which name the parent everywhere;
* ``o``: the leaves of the row's own natural key *before the batch* (deletes and key changes only);
* ``w``: the identity columns before a key change; then ``here`` and ``there``, 1 where a row stands now at the row's
  identity, and at the one before.

Resolving "now" and "before the batch" is enough, whatever happened in between, because a batch is a commit-consistent
unit: the row lives at its end with a parent that lives too, or it lived at its beginning with a parent that did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdc_sync.core.change import Kind, Shape, Shapes
from cdc_sync.core.keys import leaves


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged column. ``column`` names the field it mirrors, or the leaf path that it holds."""

    name: str
    kind: Kind
    column: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The staged columns of one table, by role. ``all``: every one, where some have no role at the target."""

    values: tuple[Staged, ...]
    parents: tuple[tuple[Staged, ...], ...]
    old: tuple[Staged, ...]
    was: tuple[Staged, ...]
    all: tuple[Staged, ...] = ()

    @property
    def columns(self) -> tuple[Staged, ...]:
        """All of them, in the order in which they travel."""
        if self.all:
            return self.all
        head = (Staged("seq", Kind.INTEGER), Staged("op", Kind.TEXT), Staged("at", Kind.TEXT))
        parents = tuple(column for parent in self.parents for column in parent)
        standing = _STANDING if self.was else ()
        return (*head, *self.values, *parents, *self.old, *self.was, *standing)

    def value(self, column: str) -> str:
        return next(staged.name for staged in self.values if staged.column == column)


def layout(shapes: Shapes, name: str, *, keyed: bool) -> Layout:
    """The layout of a table's rows; ``keyed`` says that deletes or key changes are among them."""
    shape = shapes[name]
    values = tuple(Staged(f"v{i}", field.kind, field.name) for i, field in enumerate(shape.fields))
    parents, count = [], 0
    for reference in shape.references:
        fields = leaves(shapes, reference.table)
        parents.append(tuple(Staged(f"r{count + i}", field.kind, field.name) for i, field in enumerate(fields)))
        count += len(fields)
    if not keyed:
        return Layout(values, tuple(parents), (), ())
    old = tuple(Staged(f"o{i}", field.kind, field.name) for i, field in enumerate(leaves(shapes, name)))
    return Layout(values, tuple(parents), old, _was(shape))


def narrowed(laid: Layout, shape: Shape, fitted: Shape) -> Layout:
    """The layout of a shape's rows where the target has only some of its columns (see ``core.skew``)."""
    if fitted is shape:
        return laid
    kept = (parents for r, parents in zip(shape.references, laid.parents, strict=True) if r in fitted.references)
    return replace(laid, parents=tuple(kept), all=laid.columns)


def staged_like(laid: Layout, shapes: Shapes, name: str) -> Sequence[tuple[str, str]]:
    """For each travelling column: the table and column of the target that it is typed like."""
    shape = shapes[name]
    like = [(name, "")] * 3 + [(name, column.column) for column in laid.values]
    for reference, parent in zip(shape.references, laid.parents, strict=True):
        like += [_end(shapes, reference.table, leaf.column) for leaf in parent]
    like += [_end(shapes, name, column.column) for column in laid.old]
    like += [(name, column.column) for column in laid.was]
    return like + [(name, "")] * (len(laid.columns) - len(like))


def _end(shapes: Shapes, name: str, path: str) -> tuple[str, str]:
    """The table and column at the end of a leaf's path."""
    step, _, rest = path.partition(">")
    if not rest:
        return name, step
    reference = next(r for r in shapes[name].references if ",".join(r.columns) == step)
    return _end(shapes, reference.table, rest)


def _was(shape: Shape) -> tuple[Staged, ...]:
    return tuple(Staged(f"w{i}", shape.kind(column), column) for i, column in enumerate(shape.identity))


_STANDING = (Staged("here", Kind.INTEGER), Staged("there", Kind.INTEGER))
