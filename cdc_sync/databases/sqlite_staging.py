"""Rows on their way into SQLite's staging tables, from PostgreSQL's COPY text."""

from collections.abc import Callable, Iterator, Sequence

from cdc_sync.core import values
from cdc_sync.core.change import Kind
from cdc_sync.core.layout import Staged
from cdc_sync.databases import sqlite_tables as tables
from cdc_sync.databases.base import Target
from cdc_sync.databases.refusals import refuse

Converter = Callable[[bytes], values.Storage]


def from_copy(data: bytes, columns: Sequence[Staged], targets: Sequence[Target]) -> Iterator[list[values.Storage]]:
    """Lines of COPY text as rows. Raises RefusedRow for a value that its column would change."""
    converters = [
        values.to_storage(Kind.TEXT if target.column and target.kind is Kind.TEXT else column.kind)
        for column, target in zip(columns, targets, strict=True)
    ]
    for number, line in enumerate(data.splitlines()):
        texts = values.split_line(line)
        yield [
            None if text is None else _converted(number, convert, text, target)
            for convert, text, target in zip(converters, texts, targets, strict=True)
        ]


def _converted(number: int, convert: Converter, text: bytes, target: Target) -> values.Storage:
    try:
        converted = convert(text)
        if isinstance(converted, str) and target.column and tables.is_numeric(target.declared):
            values.check_number(converted)
    except values.Unholdable as error:
        refuse(str(error), row=number, table=target.table, target=target)
    return converted
