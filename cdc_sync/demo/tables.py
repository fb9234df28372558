"""How the story looks on paper: tables that fit into 80 columns, with or without a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import JustifyMethod
from rich.table import Table

from cdc_sync.core.change import Op
from cdc_sync.core.wire import Header
from cdc_sync.demo.comparison import Edit, Key, Row

_DONE = {
    Op.INSERT: "added",
    Op.UPDATE: "changed",
    Op.KEY: "old key sent",
    Op.DELETE: "deleted",
}

Home = Mapping[Key, tuple[str, int]]
"""For a table's name and natural key: the laptop that the row came from, and its id there."""


def held(name: str, joined: Iterable[Sequence[Any]]) -> Table:
    """What a laptop holds: the rows of ``sql/demo/joined.sql``."""
    table = _table(
        f"{name} holds",
        "subject\nid", "subject\nidentifier", "initials",
        "visit\nid", "visit\ncode", "requisition\nid", "panel", "drawn",
    )  # fmt: skip
    for row in _unrepeated(joined, (3, 5)):
        table.add_row(*row[:7], {"0": "no", "1": "yes"}.get(row[7], ""))
    return table


def travelled(batches: Iterable[tuple[Header, int]]) -> Table:
    """What came in at the server: batch headers and sizes in bytes."""
    table = _table(
        "What travelled",
        "batch",
        "signed by\n(checked)",
        "changes",
        "parts",
        "bytes",
        "what was done",
    )
    for header, size in batches:
        table.add_row(
            str(header.number), header.node, str(header.rows), str(len(header.parts)), f"{size:,}", _done(header)
        )
    return table


def _done(header: Header) -> str:
    counts = {op: sum(section.counts.get(op, 0) for section in header.sections) for op in Op}
    return ", ".join(f"{counts[op]} {word}" for op, word in _DONE.items() if counts[op])


def same_ids(laptops: Mapping[str, Iterable[Row]], server: Mapping[Key, Row]) -> Table:
    """Subjects with the same local id side by side, each with its id on the server."""
    headers = [text for name in laptops for text in (f"on\n{name}", "id on the\nserver")]
    table = _table("The same local id, different people", "local\nid", *headers)
    subjects = [{row.id: row for row in rows if row.table == "subject"} for rows in laptops.values()]
    for number in sorted(set.intersection(*map(set, subjects))):
        pairs = [(rows[number].key[-1], str(server[rows[number].place].id)) for rows in subjects]
        table.add_row(str(number), *(text for pair in pairs for text in pair))
    return table


def done(edits_by_laptop: Mapping[str, Iterable[Edit]]) -> Table:
    """What was done on each laptop since the last time."""
    table = _table("What was done the next day", "laptop", "what", "table", "id", "natural key")
    for name, edits in edits_by_laptop.items():
        for edit in edits:
            table.add_row(name, *_described(edit))
    return table


def _described(edit: Edit) -> tuple[str, str, str, str]:
    rows = [row for row in (edit.before, edit.after) if row]
    keys = dict.fromkeys(" ".join(row.key) for row in rows) if edit.word == "corrected" else [" ".join(rows[-1].key)]
    return edit.word, rows[-1].table, str(rows[-1].id), "\n-> ".join(keys)


def server(joined: Iterable[Sequence[Any]], home: Home) -> Table:
    """What the server holds: the rows of ``sql/demo/joined.sql``, each id beside the laptop's."""
    table = _table(
        "What the server holds now (id on the laptop -> id on the server)",
        "from", "subject\nid", "subject\nidentifier", "visit\nid", "visit\ncode", "requisition\nid", "panel",
    )  # fmt: skip
    for row in _unrepeated((_homed(row, home) for row in joined), (3, 5)):
        table.add_row(*row)
    return table


def _homed(row: Sequence[Any], home: Home) -> tuple[str | None, ...]:
    subject_id, identifier, _, visit_id, code, requisition_id, panel, _ = row
    subject = ("subject", identifier)
    return (
        home[subject][0] if subject in home else "earlier",
        _arrow(home, subject, subject_id),
        identifier,
        _arrow(home, ("subject_visit", identifier, code), visit_id),
        code,
        _arrow(home, ("specimen_requisition", identifier, code, panel), requisition_id),
        panel,
    )


def _arrow(home: Home, key: Key, number: int | None) -> str | None:
    return f"{home[key][1]} -> {number}" if key in home else None if number is None else str(number)


def _unrepeated(rows: Iterable[Sequence[Any]], groups: tuple[int, int]) -> Iterator[list[str]]:
    """Cells as text; a subject's columns (before ``groups[0]``) and a visit's (before ``groups[1]``) are said once."""
    previous: list[str] = []
    for row in rows:
        cells = ["" if value is None else str(value) for value in row]
        same = max((end for end in groups if previous[:end] == cells[:end]), default=0)
        yield [*[""] * same, *cells[same:]]
        previous = cells


def _table(title: str, *headers: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for header in headers:
        justify: JustifyMethod = "right" if header in ("changes", "parts", "bytes") else "left"
        table.add_column(header, justify=justify, overflow="fold")
    return table
