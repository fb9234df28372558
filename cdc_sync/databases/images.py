"""Queries that show rows to people and compare their keys: what was staged, and what stands at the target."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from cdc_sync.core.keys import Plain, steps
from cdc_sync.core.wire import NotUtf8
from cdc_sync.databases.writing import Writer

Query = sa.Select[*tuple[Any, ...]]


def key_columns(writer: Writer) -> list[str]:
    """The staged columns that hold the leaves of each row's natural key, as it is now."""
    shape, names = writer.shapes[writer.name], []
    for step in steps(shape):
        if isinstance(step, Plain):
            names.append(writer.layout.value(step.column))
        else:
            parents = writer.layout.parents[shape.references.index(step.reference)]
            names += [column.name for column in parents]
    return names


def all_came(writer: Writer) -> Query:
    """Seq and values of every staged row."""
    staging, apart = writer.staging, writer.database.apart
    values = [apart(staging.c[writer.layout.value(column)]) for column in writer.shapes[writer.name].names]
    return sa.select(staging.c.seq, *values)


def came(writer: Writer, seqs: Sequence[sa.ColumnElement[Any]]) -> Query:
    """Seq and values of these staged rows."""
    return all_came(writer).where(writer.staging.c.seq.in_(seqs))


def stands(writer: Writer, seqs: Sequence[sa.ColumnElement[Any]]) -> Iterator[Query]:
    """Seq of staged rows, and the values of the target's row at the same key, or at the key before the batch."""
    resolved, target = writer.resolved(), writer.target
    values = [writer.database.apart(target.c[column]) for column in writer.shapes[writer.name].names]
    rows = resolved.join(target, writer.same_key(target, resolved))
    yield sa.select(resolved.c.seq, *values).select_from(rows).where(resolved.c.seq.in_(seqs))
    if writer.layout.old:
        rows = writer.mark.join(target, writer.located(target, writer.mark))
        yield sa.select(writer.mark.c.seq, *values).select_from(rows).where(writer.mark.c.seq.in_(seqs))


def text(writer: Writer, values: Sequence[object]) -> str:
    """A row's values as JSON."""
    return json.dumps(dict(zip(writer.shapes[writer.name].names, map(shown, values), strict=True)), ensure_ascii=False)


def shown(value: object) -> object:
    """A value as JSON can hold it, for people to read and for comparison."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, NotUtf8):
        return "\\x" + value.data.hex()
    return value if value is None or isinstance(value, (int, str)) else str(value)
