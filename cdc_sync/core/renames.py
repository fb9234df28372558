"""Renames: what a target calls tables and columns that their origin calls otherwise.

Batches keep their origin's names, which are signed. They are renamed once, before anything is applied: nothing below
knows of two names for one thing. Rows stand in a batch by place, so they stay as they are.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cdc_sync.core.change import Reference, Shape, Shapes
from cdc_sync.core.wire import Header, Section
from cdc_sync.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """What the target calls a table (nothing: the same), and those of its columns that it calls otherwise."""

    target: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Renames:
    """The renames of one origin, by the names of its tables. False where there are none."""

    tables: Mapping[str, Rename] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.tables)

    def table(self, name: str) -> str:
        """What the target calls a table."""
        rename = self.tables.get(name)
        return rename.target or name if rename else name

    def origin(self, target: str) -> str:
        """What the origin calls the table of this name at the target."""
        return next((name for name, rename in self.tables.items() if rename.target == target), target)

    def column(self, table: str, name: str) -> str:
        """What the target calls a column; ``table`` is the origin's name."""
        rename = self.tables.get(table)
        return rename.columns.get(name, name) if rename else name

    def shapes(self, shapes: Iterable[Shape]) -> tuple[Shape, ...]:
        """The shapes as the target calls everything in them, in the same order."""
        return tuple(map(self._shape, shapes)) if self else tuple(shapes)

    def named(self, shapes: Shapes) -> Shapes:
        """``shapes``, by the target's names."""
        return {shape.name: shape for shape in self.shapes(shapes.values())} if self else shapes

    def sections(self, sections: Sequence[Section]) -> Sequence[Section]:
        return [replace(section, table=self.table(section.table)) for section in sections] if self else sections

    def header(self, header: Header) -> Header:
        """A batch's header as the target calls everything in it; its fingerprint stays that of the origin."""
        if not self:
            return header
        return replace(
            header,
            shapes=self.shapes(header.shapes),
            sections=tuple(self.sections(header.sections)),
            parts=tuple(replace(part, table=self.table(part.table)) for part in header.parts),
        )

    def _shape(self, shape: Shape) -> Shape:
        name = shape.name
        return replace(
            shape,
            name=self.table(name),
            fields=tuple(replace(field, name=self.column(name, field.name)) for field in shape.fields),
            identity=self._columns(name, shape.identity),
            key=self._columns(name, shape.key),
            references=tuple(self._reference(name, reference) for reference in shape.references),
            after=tuple(self._reference(name, reference) for reference in shape.after),
        )

    def _columns(self, table: str, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.column(table, name) for name in names)

    def _reference(self, table: str, reference: Reference) -> Reference:
        return Reference(
            columns=self._columns(table, reference.columns),
            table=self.table(reference.table),
            target=self._columns(reference.table, reference.target),
        )

    def check(self, shapes: Shapes) -> None:
        """Raise ConfigError for a column that does not travel, and for two things that would be one at the target."""
        if not self:
            return
        for name, rename in self.tables.items():
            if name in shapes:
                _check_columns(shapes[name], rename)
        meant: dict[str, str] = {}
        for name in shapes:
            other = meant.setdefault(self.table(name), name)
            if other != name:
                raise same_target(self.table(name), other, name)

    def encode(self) -> str:
        """As JSON, to be kept at the target."""
        return json.dumps({name: [r.target, dict(r.columns)] for name, r in self.tables.items()}, ensure_ascii=False)


def decode(text: str | None) -> Renames:
    """What ``encode`` wrote; nothing stands for no renames."""
    if not text:
        return NONE
    return Renames(
        {name: Rename(target=target, columns=columns) for name, (target, columns) in json.loads(text).items()}
    )


NONE = Renames()


def same_target(target: str, one: str, other: str) -> ConfigError:
    return ConfigError(
        f"tables {one!r} and {other!r} would both be {target!r} at the target",
        hint="give one of them another target, or take it out",
    )


def _check_columns(shape: Shape, rename: Rename) -> None:
    for column in rename.columns:
        if column not in shape.names:
            near = difflib.get_close_matches(column, shape.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "those that travel are " + ", ".join(shape.names)
            raise ConfigError(f"table {shape.name!r}: columns renames {column!r}, which does not travel", hint=hint)
    meant: dict[str, str] = {}
    for column in shape.names:
        there = rename.columns.get(column, column)
        other = meant.setdefault(there, column)
        if other != column:
            raise ConfigError(
                f"table {shape.name!r}: columns {other!r} and {column!r} would both be {there!r} at the target",
                hint="give one of them another name in columns, or exclude it",
            )
