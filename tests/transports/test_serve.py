"""What a server needs to begin: certificates, an address, and a database of its own."""

from pathlib import Path

import pytest

from tests.commands.conftest import run
from tests.nodes import replicate
from tests.serving import KEYS, SUBJECT, code_for, enrol, laptop, section, synced, write
from tests.transports.certificates import Authority
from tests.transports.conftest import Start


def test_over_tls_the_authority_has_to_be_known(start: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    at, source = start.server(**authority.issue()), start.make_side("sqlite", "source")
    assert at.served.said[1].startswith("listens at https://127.0.0.1:")
    source.script(SUBJECT)
    stranger = laptop(tmp_path, source, at.served)
    result = run("enroll", stranger, "--with", code_for(at.served.config, "laptop"), "--at", "community")
    assert result.exit_code == 2
    assert "certificate of destination 'community' is not trusted" in result.stderr
    assert "ca =" in result.stderr
    config = write(
        tmp_path,
        "laptop",
        source,
        synced(KEYS),
        section("[[destinations]]", name="community", url=at.served.url, ca=str(authority.ca)),
    )
    enrol(at.served.config, config)
    source.run("insert into subject (code) values ('s1')")
    replicate(config)
    assert at.side.rows("select code from subject") == [("s1",)]


def test_a_certificate_that_is_over_names_the_date(start: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    at, source = start.server(**authority.issue(days=-1)), start.make_side("sqlite", "source")
    source.script(SUBJECT)
    config = laptop(tmp_path, source, at.served, ca=str(authority.ca))
    result = run("enroll", config, "--with", code_for(at.served.config, "laptop"), "--at", "community")
    assert result.exit_code == 2
    assert "expired" in result.stderr
    assert "date of this machine" in result.stderr


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"certificate": "none.pem", "private_key": "none.key"}, ("certificate", "No such file")),
        ({"certificate": "cdc-sync.toml", "private_key": "cdc-sync.toml"}, ("certificate",)),
    ],
    ids=["missing", "of another kind"],
)
def test_a_certificate_that_is_none_is_told_at_the_start(
    start: Start, entries: dict[str, object], words: tuple[str, ...]
) -> None:
    config = write(start.folder, "community", start.make_side("sqlite", "target"), section("[serve]", **entries))
    result = run("serve", config)
    assert result.exit_code == 2
    for word in words:
        assert word in result.stderr
    assert "PEM" in result.stderr


def test_an_address_that_is_taken_is_told_at_the_start(start: Start) -> None:
    at = start.server()
    config = write(
        start.folder,
        "central",
        start.make_side("sqlite", "other"),
        section("[serve]", listen=f"127.0.0.1:{at.served.port}"),
    )
    result = run("serve", config)
    assert result.exit_code == 2
    assert "cannot listen" in result.stderr
    assert "another port" in result.stderr


def test_a_database_of_another_node_is_not_served(start: Start) -> None:
    clinic = start()
    config = write(start.folder, "central", clinic.source, section("[serve]", listen="127.0.0.1:0"))
    result = run("serve", config)
    assert result.exit_code == 2
    assert "belongs to node 'laptop'" in result.stderr
