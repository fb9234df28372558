"""The table that every benchmark writes: ten columns of a clinical visit, equal for ours and for every rival."""

from collections.abc import Iterator

COLUMNS = (
    "id",
    "site",
    "subject",
    "visit_code",
    "visit_date",
    "weight",
    "bp",
    "flag",
    "notes",
    "updated",
)

_DEFINITION = """create table t (
    id {key} primary key,
    site text,
    subject text,
    visit_code text,
    visit_date timestamptz,
    weight numeric(8,2),
    bp int,
    flag boolean,
    notes text,
    updated timestamptz
)"""

POSTGRESQL = _DEFINITION.format(key="bigint")
SQLITE = _DEFINITION.format(key="integer")

SITES, VISITS = 20, 10
"""Sites in the study, and visits of a subject."""

GENERATE = f"""
    select i, 'site-' || mod(i, {SITES}), 'subject-' || lpad((i / {VISITS})::text, 8, '0'),
        'visit-' || mod(i, {VISITS}), timestamptz '2026-01-01 08:00+00' + i * interval '1 minute',
        50 + mod(i, 500) / 10.0, 90 + mod(i, 60), mod(i, 2) = 0, rpad('note ' || i, 40, '.'), now()
    from generate_series(%s::bigint, %s::bigint) as i
"""
"""PostgreSQL: the rows with ids from %s to %s."""

INSERT_GENERATED = f"insert into t {GENERATE}"
INSERT_SQLITE = f"insert into t values ({', '.join('?' * len(COLUMNS))})"

UPDATE_RANGE = "update t set weight = weight + 1 where id between {first} and {last}"
"""Both databases: no key column changes."""

SUMMARY = "select count(*), round(sum(weight)), max(id) from t"
"""Both databases: equal where a target has what its source has."""

Row = tuple[int, str, str, str, str, float, int, bool, str, str]


def rows(first: int, last: int) -> Iterator[Row]:
    """For SQLite: the rows with ids from ``first`` to ``last``, as an application would write them."""
    for i in range(first, last + 1):
        yield (
            i,
            f"site-{i % SITES}",
            f"subject-{i // VISITS:08}",
            f"visit-{i % VISITS}",
            f"2026-{1 + i % 12:02}-{1 + i % 28:02} 08:{i % 60:02}:00+00",
            50 + i % 500 / 10,
            90 + i % 60,
            i % 2 == 0,
            f"note {i}".ljust(40, "."),
            "2026-11-23 12:00:00+00",
        )
