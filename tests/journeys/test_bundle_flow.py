"""Files on a stick, between nodes that nothing else joins: each command a process of its own."""

from pathlib import Path

from tests.conftest import Make
from tests.nodes import compare
from tests.sticks import OWN, SHAPES, apart, meet


def test_rows_go_from_one_postgresql_to_the_other_in_a_file_and_the_receipt_comes_back_in_one(
    make_side: Make, tmp_path: Path
) -> None:
    flow = meet(make_side, tmp_path, "postgresql", "postgresql", apart)
    flow.write(1, 3)
    (written,) = flow.export()
    assert written["rows"] == 6
    assert flow.waiting() == 6, "writing a file is neither stored nor applied"
    report = flow.bring_in()
    assert [each["state"] for each in report["files"]] == ["stored"]
    assert report["applied"] == 1
    compare(flow.source, flow.target, *SHAPES, others=OWN)
    assert flow.files("receiver") == [], "what is stored is moved away"
    assert flow.waiting() == 6, "nothing is let go before the receipt is back"
    assert [each["receipts"] for each in flow.bring_home()["files"]] == [1]
    assert flow.waiting() == 0
    assert flow.export() == [], "nothing waits"


def test_a_laptop_brings_its_rows_on_a_stick_day_after_day(make_side: Make, tmp_path: Path) -> None:
    flow = meet(make_side, tmp_path, "sqlite", "postgresql", apart)
    flow.write(1, 2)
    flow.export()
    flow.write(3, 3)
    flow.export()
    (name,) = flow.files("receiver")
    assert name.startswith("giver.1-2."), "one file holds everything that waits, and stands for what it has more than"
    flow.bring_in()
    compare(flow.source, flow.target, *SHAPES, others=OWN)
    flow.bring_home()
    flow.write(4, 4)
    flow.source.run("delete from visit where weight > 50.25")
    (written,) = flow.export()
    assert written["batches"] == [["giver", 3, 3]]
    flow.bring_in()
    compare(flow.source, flow.target, *SHAPES, others=OWN)
    assert flow.waiting() == written["rows"], "until the receipt is back"
    flow.bring_home()
    assert flow.waiting() == 0
