"""How PostgreSQL describes a table."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from cdc_sync.core.change import Column, Kind, Reference

_KINDS = {
    "bool": Kind.BOOLEAN,
    **dict.fromkeys(("int2", "int4", "int8", "oid"), Kind.INTEGER),
    **dict.fromkeys(("float4", "float8"), Kind.FLOAT),
    "numeric": Kind.NUMERIC,
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext"), Kind.TEXT),
    "bytea": Kind.BYTES,
    "date": Kind.DATE,
    **dict.fromkeys(("time", "timetz"), Kind.TIME),
    **dict.fromkeys(("timestamp", "timestamptz"), Kind.TIMESTAMP),
    "uuid": Kind.UUID,
    **dict.fromkeys(("json", "jsonb"), Kind.JSON),
}


def grouped(rows: list[tuple[Any, ...]]) -> defaultdict[str, list[tuple[Any, ...]]]:
    groups: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row)
    return groups


def column(row: tuple[Any, ...]) -> Column:
    _, _, _, name, type_name, declared, required, generated, supplied, always, *_, collation = row
    return Column(
        name=name,
        kind=_KINDS.get(type_name, Kind.OTHER),
        declared=declared,
        nullable=not required,
        generated=generated,
        supplied=supplied,
        always=always,
        collation=collation or "",
    )


def uniques(rows: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[str, ...], bool, bool]]:
    for _, members in groupby(rows, key=lambda row: row[1]):
        key = list(members)
        yield tuple(row[3] for row in key), key[0][2], key[0][4]


def references(rows: list[tuple[Any, ...]], known: dict[tuple[str, str], str]) -> Iterator[Reference]:
    for _, members in groupby(rows, key=lambda row: row[1]):
        key = list(members)
        _, _, _, schema, table, _, visible = key[0]
        fallback = table if visible else f"{schema}.{table}"
        yield Reference(
            columns=tuple(row[2] for row in key),
            table=known.get((schema, table), fallback),
            target=tuple(row[5] for row in key),
        )
