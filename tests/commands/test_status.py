"""status says what waits and for what, in words, in JSON and by its exit code."""

import json
from pathlib import Path

from tests.commands.conftest import SUBJECT, Walk, run
from tests.conftest import Make
from tests.nodes import install, replicate, write_config


def test_status_says_what_waits(walk: Walk) -> None:
    install(walk.config)
    walk.add("s1", "s2")
    result = run("status", walk.config)
    assert result.exit_code == 0
    assert "node laptop: 0 batches sealed" in result.stdout
    assert "subject: 2 changes to seal" in result.stdout
    replicate(walk.config)
    text = run("status", walk.config).stdout
    assert "node laptop: 1 batches sealed" in text
    assert "to server: stored up to 1, applied up to 1, 0 changes in 0 batches wait" in text


def test_status_speaks_json(walk: Walk) -> None:
    install(walk.config)
    walk.add("s1")
    replicate(walk.config)
    walk.add("s2")
    said = json.loads(run("status", walk.config, "--json").stdout)
    assert said["node"] == "laptop"
    assert said["sealed"] == 1
    assert said["tables"] == [{"table": "subject", "unsealed": 1, "paused": False, "gap": ""}]
    assert said["destinations"] == [
        {"destination": "server", "stored": 1, "applied": 1, "waiting_batches": 0, "waiting_changes": 0}
    ]
    assert said["origins"] == []


VISIT = (
    SUBJECT + "create table visit (id {pk}, code text not null unique, subject_id integer not null references subject);"
)


def test_status_ends_with_3_while_a_row_of_another_node_waits_for_its_parent(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    laptop, server, central = make_side("sqlite", "laptop"), make_side(kind, "server"), make_side("sqlite", "central")
    for side in (laptop, server, central):
        side.script(VISIT)
    sends = write_config(tmp_path, "laptop", laptop, server, {"visit": ["code"]})
    receives = write_config(tmp_path, "server", server, central, {"visit": ["code"]})
    install(receives)
    laptop.script("insert into subject (id, code) values (1, 's1');")
    install(sends)
    laptop.run("insert into visit (code, subject_id) values ('v1', 1)")
    result = run("replicate --once", sends)
    assert result.exit_code == 3
    assert "1 row put aside there: deferred" in result.stdout
    waiting = run("status", receives)
    assert waiting.exit_code == 3
    assert "from laptop: stored up to 1, applied up to 1, 1 row deferred" in waiting.stdout
    server.run("insert into subject (code) values ('s1')")
    assert run("replicate --once", sends).exit_code == 0
    assert run("status", receives).exit_code == 0
