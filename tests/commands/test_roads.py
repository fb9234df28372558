"""What the file says of other nodes: taken as it is meant, and refused with what to type where it cannot be."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import config
from cdc_sync.core import device
from tests.commands.conftest import SERVER, SUBJECT, TABLE, Expected, Walk, made, refused, run, untouched
from tests.commands.test_mistakes import NODE, Mistake
from tests.conftest import Make
from tests.nodes import install, replicate, status

KEY = device.public_of(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
TEXT = device.text(KEY, "community")


def destination(*lines: str) -> str:
    return "\n".join(("[[destinations]]", 'name = "community"', *lines, ""))


def source(*lines: str) -> str:
    return "\n".join(("[[sources]]", 'name = "laptop-07"', *lines, ""))


def serve(*lines: str) -> str:
    return "\n".join(("[serve]", *lines, ""))


RELAY = NODE + "relay = true\n"
MISTAKES = [
    Mistake("relay-of-another-kind", NODE + "relay = 1\n", Expected(("[node]", "relay"), "relay = true")),
    Mistake("apply-of-no-relay", NODE + "apply = false\n", Expected(("[node]", "apply"), "relay = true")),
    Mistake("no-final", NODE + destination("final = false"), Expected(("no destination is final",), "needs no url")),
    Mistake("bad-key", NODE + destination('key = "AAAA"'), Expected(("'community'", "key"), "ssh-ed25519")),
    Mistake(
        "key-of-another-kind",
        NODE + destination('key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAIQC7"'),
        Expected(("'community'", "key")),
    ),
    Mistake("http", NODE + destination('url = "http://server.org"'), Expected(("without TLS",), "https://")),
    Mistake(
        "http-elsewhere", NODE + destination('url = "http://127.0.0.1.org"'), Expected(("without TLS",), "https://")
    ),
    Mistake("http-no-host", NODE + destination('url = "https:///x"'), Expected(("'community'", "URL"), "https://")),
    Mistake("http-port", NODE + destination('url = "https://x:y"'), Expected(("'community'", "URL"), "https://")),
    Mistake("http-user", NODE + destination('url = "https://u:p@server"'), Expected(("URL",), "device key")),
    Mistake("http-token", NODE + destination('url = "https://server?token=1"'), Expected(("URL",), "device key")),
    Mistake("plain-https", NODE + destination('url = "https://server"', "plain = true"), Expected(("plain",), "out")),
    Mistake("ca-of-a-database", NODE + destination('url = "sqlite:///x"', 'ca = "ca.pem"'), Expected(("ca",), "out")),
    Mistake("folder-elsewhere", NODE + destination('url = "file://stick/x"'), Expected(("folder",), "file:///")),
    Mistake(
        "destination-of-a-path",
        NODE + destination().replace("community", "../community"),
        Expected(("'../community'",), "[node]"),
    ),
    Mistake("source-without-url", NODE + source(), Expected(("'laptop-07'", "url"), "url =")),
    Mistake("source-of-a-database", NODE + source('url = "sqlite:///x"'), Expected(("'laptop-07'", "sqlite"), "https")),
    Mistake("source-without-tls", NODE + source('url = "http://x"'), Expected(("'laptop-07'", "TLS"), "https://")),
    Mistake("source-that-is-final", NODE + source("final = true"), Expected(("[[sources]]", "'final'"))),
    Mistake("sources-twice", NODE + source('url = "https://x"') * 2, Expected(("[[sources]]", "twice"))),
    Mistake("serve-unknown", NODE + serve('listn = "x"'), Expected(("[serve]", "'listn'"), "'listen'")),
    Mistake("serve-without-tls", NODE + serve('listen = "0.0.0.0:80"'), Expected(("[serve]", "TLS"), "certificate")),
    Mistake("serve-nowhere", NODE + serve('listen = "here"'), Expected(("[serve]", "'here'"), "listen =")),
    Mistake("serve-no-port", NODE + serve('listen = "::1:99999"'), Expected(("[serve]",), "listen =")),
    Mistake("serve-half", NODE + serve('certificate = "c.pem"'), Expected(("[serve]",), "private_key")),
    Mistake("serve-nothing", NODE + serve("largest_batch = 0"), Expected(("largest_batch",), "largest_batch =")),
    Mistake("serve-applies", RELAY + serve("apply = true"), Expected(("[serve]", "[node]"), "apply = true")),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.id)
def test_a_mistake_about_roads_is_named_with_what_to_type(make_side: Make, tmp_path: Path, case: Mistake) -> None:
    field = made(make_side, "sqlite", "field", SUBJECT)
    path = tmp_path / "cdc-sync.toml"
    path.write_text(case.text + TABLE)
    with untouched(tmp_path, field):
        refused(run(case.command, path), case.expected)


def written(folder: Path, text: str) -> config.Config:
    path = folder / "cdc-sync.toml"
    path.write_text(text)
    return config.load(path)


def test_a_node_is_no_relay_applies_and_listens_to_itself_unless_its_file_says_otherwise(tmp_path: Path) -> None:
    found = written(tmp_path, NODE)
    assert (found.node.relay, found.node.apply, found.serve.apply) == (False, True, True)
    assert (found.serve.host, found.serve.port) == ("127.0.0.1", 8443)
    assert found.sources == found.destinations == ()


def test_a_relay_only_carries_unless_its_file_says_that_it_applies(tmp_path: Path) -> None:
    carries, applies = written(tmp_path, RELAY), written(tmp_path, RELAY + "apply = true\n")
    assert (carries.node.apply, carries.serve.apply) == (False, False)
    assert (applies.node.apply, applies.serve.apply) == (True, True)


def test_destinations_are_read_with_their_keys_and_files_beside_the_configuration(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        NODE
        + destination(f'key = "{TEXT}"')
        + destination('url = "https://relay:8443"', "final = false", 'ca = "ca.pem"').replace("community", "relay")
        + destination('url = "http://[::1]:8000"').replace("community", "here")
        + destination('url = "http://lan:8000"', "plain = true").replace("community", "lan")
        + SERVER,
    )
    community, relay, *_ = found.destinations
    assert (community.key, community.final, community.url) == (KEY, True, "")
    assert (relay.ca, relay.scheme) == (tmp_path / "ca.pem", "https")
    assert [d.name for d in found.reached] == ["relay", "here", "lan", "server"]
    assert [d.name for d in found.databases] == ["server"]
    assert [d.name for d in found.final] == ["community", "here", "lan", "server"]


def test_serve_and_sources_are_read(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        NODE
        + source('url = "http://localhost:8000"')
        + serve('listen = "[::]:443"', 'certificate = "c.pem"', 'private_key = "k.pem"', "requests_a_minute = 7"),
    )
    assert [s.name for s in found.sources] == ["laptop-07"]
    assert (found.serve.host, found.serve.port) == ("::", 443)
    assert found.serve.private_key == tmp_path / "k.pem"
    assert found.serve.requests_a_minute == 7


def test_batches_wait_for_a_destination_without_url(walk: Walk) -> None:
    more = walk.config.path.read_text() + destination()
    walk.config.path.write_text(more)
    both = config.load(walk.config.path)
    install(both)
    walk.add("s1")
    assert [item.destination for item in replicate(both)] == ["server"]
    assert walk.arrived() == ["s1"]
    waiting = {there.destination: there.waiting_changes for there in status(both).destinations}
    assert waiting == {"server": 0, "community": 1}
    assert run("doctor", both).exit_code == 0


def test_without_any_url_changes_are_sealed_and_wait(walk: Walk) -> None:
    walk.config.path.write_text(walk.config.path.read_text().partition("[[destinations]]")[0] + destination())
    config_ = config.load(walk.config.path)
    install(config_)
    walk.add("s1")
    assert replicate(config_) == []
    assert status(config_).sealed == 1
    assert status(config_).destinations[0].waiting_batches == 1


def test_a_server_whose_key_nobody_has_told_is_named_before_anything_is_sealed(walk: Walk) -> None:
    walk.config.path.write_text(walk.config.path.read_text() + destination('url = "https://server"'))
    install(config.load(walk.config.path))
    walk.add("s1")
    with untouched(walk.config.folder, walk.source):
        refused(run("replicate --once", walk.config), Expected(("'community'", "key"), "enroll --with"))
