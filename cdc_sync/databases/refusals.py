"""How a database says that it cannot hold a value as it is: by table, column and kind, never by the value itself."""

from typing import NoReturn

from cdc_sync.databases.base import Target
from cdc_sync.errors import RefusedRow

HINT = "correct the value at its source; the row waits, and nothing is lost"


def refuse(why: str, *, row: int, table: str, target: Target | None, code: str = "") -> NoReturn:
    """Raise RefusedRow; ``why`` names the kind of the value, ``target`` the column if it is known."""
    what = f"column {target.column!r} of table {target.table!r}" if target else f"table {table!r}"
    raise RefusedRow(f"{what} cannot hold {why}", row=row, code=code, hint=HINT) from None
