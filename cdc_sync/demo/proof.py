"""What the story claims, checked row by row. Every sentence returned here was found to be true just before."""

from collections import Counter
from collections.abc import Iterable, Sequence

from cdc_sync.demo.comparison import BUG, Edit, Key, Row
from cdc_sync.errors import CdcSyncError


def corrected(laptop: str, edit: Edit, before: Iterable[Row], after: Iterable[Row]) -> str:
    """A row with a corrected key kept its id and its children on the server (its rows ``before`` and ``after``).

    Returns the sentence that says so; raises CdcSyncError where it is not so.
    """
    wrong, right = _both(edit)
    was, now = _at(before, wrong.place), _at(after, right.place)
    children = _below(before, wrong.key)
    if was is None or now is None or was.id != now.id or not children <= _below(after, right.key):
        raise CdcSyncError(f"a corrected row of {right.table!r} lost its id or its children", hint=BUG)
    if _at(after, wrong.place):
        raise CdcSyncError(f"a corrected row of {right.table!r} stands on the server twice", hint=BUG)
    return (
        f"{laptop} corrected its {right.noun} {right.id}: {wrong.key[-1]} is now {right.key[-1]}. "
        f"The server kept it as {now.noun} {now.id}, and {_counted(children)} under it kept their ids."
    )


def deleted(laptop: str, edit: Edit, before: Iterable[Row], after: Iterable[Row]) -> str:
    """A row deleted on a laptop stood on the server ``before`` and not ``after``.

    Returns the sentence that says so; raises CdcSyncError where it is not so.
    """
    if edit.before is None:
        raise LookupError("this edit deleted nothing")
    was = _at(before, edit.before.place)
    if was is None or _at(after, was.place):
        raise CdcSyncError(f"a deleted row of {edit.before.table!r} is still on the server", hint=BUG)
    return (
        f"{laptop} deleted its {was.noun} {edit.before.id} ({', '.join(was.key)}). "
        f"On the server it was {was.noun} {was.id}; that one is gone."
    )


def untouched(edit: Edit, others: Iterable[tuple[str, Sequence[Row]]], after: Iterable[Row]) -> list[str]:
    """Sentences for rows of other laptops under the same local id: the edit did not reach them on the server."""
    return [
        f"{laptop} has a {row.noun} {row.id} too, of another person: {row.noun} {there.id} on the server. It stays."
        for laptop, rows in others
        for row in rows
        if edit.before
        and (row.table, row.id) == (edit.before.table, edit.before.id)
        and row.key[0] != edit.before.key[0]
        if (there := _at(after, row.place))
    ]


def check_ids_kept(before: Iterable[Row], after: Iterable[Row]) -> None:
    """Raises CdcSyncError where a row stands under the same natural key with another id."""
    ids = {row.place: row.id for row in before}
    for row in after:
        if ids.get(row.place, row.id) != row.id:
            raise CdcSyncError(f"a row of {row.table!r} lost its id on the server", hint=BUG)


def _both(edit: Edit) -> tuple[Row, Row]:
    if edit.before is None or edit.after is None:
        raise LookupError("this edit corrected nothing")
    return edit.before, edit.after


def _at(rows: Iterable[Row], place: Key) -> Row | None:
    return next((row for row in rows if row.place == place), None)


def _below(rows: Iterable[Row], key: Key) -> set[tuple[str, int]]:
    """Noun and id of every row whose natural key begins with this one and goes on."""
    return {(row.noun, row.id) for row in rows if row.key[: len(key)] == key and len(row.key) > len(key)}


def _counted(rows: set[tuple[str, int]]) -> str:
    """For example: 2 visits and 1 requisition."""
    counts = Counter(noun for noun, _ in sorted(rows, reverse=True))
    return " and ".join(f"{count} {noun}{'s' * (count > 1)}" for noun, count in counts.items())
