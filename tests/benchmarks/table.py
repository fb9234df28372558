"""The tables that benchmarks write, equal for ours and for every rival: a clinical visit, and one with many answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

Value = int | float | str | bool
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column beside the key: what PostgreSQL makes of row i, and what an application writes there."""

    name: str
    type: str
    generated: str
    value: Callable[[int], Value]


@dataclass(frozen=True)
class Table:
    """Table t: its key, which is called id, and these columns."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return ("id", *(column.name for column in self.columns))

    @property
    def postgresql(self) -> str:
        return self._definition("bigint")

    @property
    def sqlite(self) -> str:
        return self._definition("integer")

    def _definition(self, key: str) -> str:
        columns = [f"id {key} primary key", *(f"{column.name} {column.type}" for column in self.columns)]
        return f"create table t ({', '.join(columns)})"

    @cached_property
    def insert_generated(self) -> str:
        """PostgreSQL: the rows with ids from %s to %s."""
        values = ", ".join(column.generated for column in self.columns)
        return f"insert into t select i, {values} from generate_series(%s::bigint, %s::bigint) as i"

    def insert(self, hole: str, verb: str = "insert") -> str:
        """One row. ``hole`` is the driver's mark for a value."""
        return f"{verb} into t values ({', '.join([hole] * len(self.names))})"

    def rows(self, first: int, last: int) -> Iterator[Row]:
        """The rows with ids from ``first`` to ``last``, as an application would write them."""
        for i in range(first, last + 1):
            yield (i, *(column.value(i) for column in self.columns))


SITES, VISITS = 20, 10
"""Sites in the study, and visits of a subject."""


def _moment(i: int) -> str:
    return f"2026-{1 + i % 12:02}-{1 + i % 28:02} 08:{i % 60:02}:00+00"


_MOMENTS = "timestamptz '2026-01-01 08:00+00' + i * interval '1 minute'"

VISIT = Table(
    (
        Column("site", "text", f"'site-' || mod(i, {SITES})", lambda i: f"site-{i % SITES}"),
        Column(
            "subject",
            "text",
            f"'subject-' || lpad((i / {VISITS})::text, 8, '0')",
            lambda i: f"subject-{i // VISITS:08}",
        ),
        Column("visit_code", "text", f"'visit-' || mod(i, {VISITS})", lambda i: f"visit-{i % VISITS}"),
        Column("visit_date", "timestamptz", _MOMENTS, _moment),
        Column("weight", "numeric(8,2)", "50 + mod(i, 500) / 10.0", lambda i: 50 + i % 500 / 10),
        Column("bp", "int", "90 + mod(i, 60)", lambda i: 90 + i % 60),
        Column("flag", "boolean", "mod(i, 2) = 0", lambda i: i % 2 == 0),
        Column("notes", "text", "rpad('note ' || i, 40, '.')", lambda i: f"note {i}".ljust(40, ".")),
        Column("updated", "timestamptz", "now()", lambda _: "2026-11-23 12:00:00+00"),
    )
)
"""Ten columns."""

_ANSWERS = (
    Column("counted", "int", "mod(i, 1000)", lambda i: i % 1000),
    Column("answered", "text", "'answer ' || mod(i, 100)", lambda i: f"answer {i % 100}"),
    Column("weighed", "numeric(12,2)", "mod(i, 10000) / 100.0", lambda i: i % 10_000 / 100),
    Column("taken", "timestamptz", _MOMENTS, _moment),
    Column("ticked", "boolean", "mod(i, 3) = 0", lambda i: i % 3 == 0),
)
"""One of each kind."""

WIDE = Table(
    (*VISIT.columns, *(replace(answer, name=f"{answer.name}_{n}") for n in range(1, 19) for answer in _ANSWERS))
)
"""A hundred columns: the visit with ninety answers."""

VIEW = "create view v as select id, site, subject, visit_code, visit_date, weight, bp, updated from t where flag"
"""Both databases: half of the rows, without two of the visit's columns."""

UPDATE_ALL = "update t set weight = weight + 1"
"""Both databases: no key column changes."""

MOVE_ALL = "update t set id = -id"
"""Both databases: the key changes, and no two rows get in each other's way."""

UPDATE_RANGE = f"{UPDATE_ALL} where id between {{first}} and {{last}}"

SUMMARY = "select count(*), round(sum(weight)), max(id) from t"
"""Both databases: equal where a target has what its source has."""
