"""A bundle is no larger than its rows as CSV through zstd, signatures and encryption included."""

import csv
import io
import sys
from pathlib import Path

import pytest

from tests.benchmarks.table import VISIT
from tests.conftest import Make
from tests.nodes import Side, install, write_config
from tests.sticks import here, key_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS = 10_000


def as_csv(side: Side) -> bytes:
    """The rows as the database's own tools write them, with a header."""
    if side.kind == "postgresql":
        with side.connection.cursor().copy("copy t to stdout (format csv, header)") as copy:
            return b"".join(bytes(data) for data in copy)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(VISIT.names)
    writer.writerows(side.rows("select * from t order by id"))
    return text.getvalue().encode()


def fill(side: Side) -> None:
    if side.kind == "postgresql":
        side.connection.execute(VISIT.insert_generated, (1, ROWS))
    else:
        side.many(VISIT.insert("?"), VISIT.rows(1, ROWS))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_bundle_of_visits_is_no_larger_than_the_same_rows_as_csv_through_zstd_3(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    source = make_side(kind, "source")
    source.run(VISIT.postgresql if kind == "postgresql" else VISIT.sqlite)
    server = write_config(tmp_path, "server", make_side("sqlite", "server"), {}, {})
    laptop = write_config(tmp_path, "laptop", source, {}, {"t": ["id"]})
    with laptop.path.open("a") as file:
        file.write(f'\n[[destinations]]\nname = "server"\nkey = "{key_of(server)}"\n')
    install(laptop)
    fill(source)
    path = tmp_path / "visits.cdcsync"
    code, *said = here("export", "--config", str(laptop.path), "--to", str(path))
    assert code == 0, said
    assert "10000 changes" in said[0]
    size, limit = path.stat().st_size, len(zstd.compress(as_csv(source), 3))
    assert size <= limit, f"{size} bytes, and {limit} as CSV through zstd -3"
