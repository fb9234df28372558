"""How a database says that it cannot hold a value as it is: by table, column and kind, never by the value itself."""

from collections.abc import Sequence

from cdc_sync.databases.base import Target
from cdc_sync.errors import RefusedRow

HINT = "correct the value at its source, or the column there; nothing is lost"


def refused(why: str, *, row: int, table: str, target: Target | None, code: str = "") -> RefusedRow:
    """The error for a row; ``why`` names the kind of the value, ``target`` the column if it is known."""
    what = f"column {target.column!r} of table {target.table!r}" if target else f"table {table!r}"
    return RefusedRow(f"{what} cannot hold {why}", row=row, code=code, hint=HINT)


def check(found: Sequence[RefusedRow]) -> None:
    """Raise the first, with the others of other rows, if there is one."""
    if not found:
        return
    rows = {error.row: error for error in reversed(found)}
    first, *others = (rows[row] for row in sorted(rows))
    first.others = tuple(others)
    raise first
