"""The command line of identities: who other nodes are, what they may do here, and who this node is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cdc_sync import clock, config, databases, peers
from cdc_sync.cli.terminal import config_option
from cdc_sync.config import Config
from cdc_sync.core import device
from cdc_sync.core.peers import Grants, Invitation, Peer, read_grants
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import ConfigError
from cdc_sync.relay import prepare


@contextmanager
def _opened(settings: Config) -> Iterator[Database]:
    with databases.connect(settings.node.database, settings.folder) as database:
        prepare(database, settings)
        yield database


@click.command()
@config_option
@click.argument("name", default="")
@click.option("--relay", is_flag=True, help="It may bring and fetch other nodes' batches.")
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="TABLE[:OPERATIONS]",
    help="It may write this table only: insert,update,delete or some of them. Say it once for each table.",
)
@click.option("--key", default="", metavar="KEY", help='Its public key, "ssh-ed25519 AAAA...", instead of a code.')
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="The code can be used so long.")
@click.option("--with", "code", default="", metavar="CODE", help="At the node: enrol with the code from the server.")
@click.option(
    "--at", default="", metavar="DESTINATION", help="The destination or source whose code it is, with --with."
)
@click.option("--list", "listing", is_flag=True, help="Say who is known here.")
@click.option("--show", "showing", is_flag=True, help="Say who this node is: what the other DBA needs for --key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with --list or --show.")
def enroll(
    config_path: Path,
    name: str,
    *,
    relay: bool,
    tables: tuple[str, ...],
    key: str,
    days: int,
    code: str,
    at: str,
    listing: bool,
    showing: bool,
    as_json: bool,
) -> None:
    """Let node NAME send batches here: by a one-time code, or at once where its public key is known.

    Example: cdc-sync enroll laptop-07 --table subject --table subject_visit:insert,update
    """
    settings = config.load(config_path)
    if sum(map(bool, (name, listing, showing, code or at))) != 1:
        raise ConfigError("nothing or too much was asked for", hint="name a node, or say --with, --list or --show")
    if code or at:
        _apply(settings, code, at)
    elif listing:
        _list(settings, as_json=as_json)
    elif showing:
        _show(settings, as_json=as_json)
    elif key:
        _enroll(settings, name, key, read_grants(tables), relay=relay)
    else:
        _invite(settings, name, read_grants(tables), days, relay=relay)


def _apply(settings: Config, code: str, at: str) -> None:
    if not (code and at):
        raise ConfigError(
            "a code and a destination belong together", hint="cdc-sync enroll --with CODE --at DESTINATION"
        )
    from cdc_sync import enrolment  # and with it the client of HTTP: no other option needs it

    with _opened(settings) as database:
        peer = enrolment.apply(database, settings, at, code)
    click.echo(f"{settings.node.name}: enrolled at {peer.name}, whose key is {peer.fingerprint}")


def _enroll(settings: Config, name: str, key: str, grants: Grants | None, *, relay: bool) -> None:
    peer = Peer(name=name, public_key=device.read(key), relay=relay, grants=grants, enrolled_at=clock.now())
    with _opened(settings) as database:
        peers.enroll(database, settings.node.name, peer)
    click.echo(f"{name}: enrolled with {peer.fingerprint}")


def _invite(settings: Config, name: str, grants: Grants | None, days: int, *, relay: bool) -> None:
    wanted = Invitation(name=name, relay=relay, grants=grants, expires_at=clock.now(days=days))
    with _opened(settings) as database:
        code = peers.invite(database, settings.node.name, peers.own_key(database, settings), wanted)
    click.echo(f"{name} may enrol once until {wanted.expires_at}, at that node:")
    click.echo(f"  cdc-sync enroll --with {code} --at {settings.node.name}")


def _show(settings: Config, *, as_json: bool) -> None:
    with _opened(settings) as database:
        public = device.public_of(peers.own_key(database, settings))
    shown = {
        "name": settings.node.name,
        "public_key": device.text(public, settings.node.name),
        "fingerprint": device.fingerprint(public),
    }
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(f"node {shown['name']}: {shown['fingerprint']}")
    click.echo(f"  {shown['public_key']}")


def _list(settings: Config, *, as_json: bool) -> None:
    with _opened(settings) as database, database.begin(Mode.READ) as session:
        known, invited = peers.listed(session), peers.invited(session)
    if as_json:
        click.echo(json.dumps([*map(_as_json, known), *map(_invited_as_json, invited)], indent=2))
        return
    for peer in known:
        state = f"revoked {peer.revoked_at}" if peer.revoked_at else f"enrolled {peer.enrolled_at}"
        if not (peer.enrolled_at or peer.revoked_at):
            state = "by database connection only"
        click.echo(f"{peer.name}: {state}, {peer.fingerprint}, {_may(peer)}")
    for invitation in invited:
        late = "could enrol" if invitation.expires_at < clock.now() else "may enrol"
        click.echo(f"{invitation.name}: {late} until {invitation.expires_at}, {_may(invitation)}")
    if not known and not invited:
        click.echo("Nobody is known here.")


def _may(who: Peer | Invitation) -> str:
    relay = ", carries for others" if who.relay else ""
    if who.grants is None:
        return f"writes every table{relay}"
    tables = "; ".join(f"{table} ({', '.join(may)})" for table, may in who.grants.items())
    return f"writes {tables or 'nothing'}{relay}"


def _as_json(peer: Peer) -> dict[str, object]:
    return {
        "name": peer.name,
        "fingerprint": peer.fingerprint,
        "public_key": device.text(peer.public_key, peer.name),
        "relay": peer.relay,
        "grants": peer.grants,
        "enrolled_at": peer.enrolled_at or None,
        "revoked_at": peer.revoked_at or None,
    }


def _invited_as_json(invitation: Invitation) -> dict[str, object]:
    return {
        "name": invitation.name,
        "relay": invitation.relay,
        "grants": invitation.grants,
        "expires_at": invitation.expires_at,
    }


@click.command()
@config_option
@click.argument("name")
def revoke(config_path: Path, name: str) -> None:
    """Refuse everything of node NAME from now on, whatever road it comes by. What is applied already stays.

    Example: cdc-sync revoke laptop-07
    """
    settings = config.load(config_path)
    with _opened(settings) as database:
        known = peers.revoke(database, name)
    click.echo(f"{name}: {'revoked' if known else 'its code is of no use any more'}")
