"""Other nodes as a database knows them: enrolled, let in by the database itself, or revoked."""

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import clock, identity, registry
from cdc_sync.config import Config
from cdc_sync.core import device
from cdc_sync.core import peers as core
from cdc_sync.core.peers import Application, Code, Invitation, Peer
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import ConfigError, Forbidden

LIST = "cdc-sync enroll --list shows who is known"


def own_key(database: Database, config: Config) -> Ed25519PrivateKey:
    """This node's device key, made where it has none; never another one than that which its batches are signed with."""
    with database.begin(Mode.READ) as session:
        rows = session.run("node") if registry.is_installed(session) else []
        if rows:
            registry.check_node(session, rows[0], config.node.name, config.key_path)
    return identity.load_or_create(config.key_path)


def listed(session: Session) -> list[Peer]:
    """Everybody who is known here, by name."""
    return [_peer(row) for row in session.run("peers")]


def invited(session: Session) -> list[Invitation]:
    """Who may enrol and has not yet, by name; also those who came too late."""
    return [_invitation(row) for row in session.run("enrolments")]


def find(session: Session, name: str) -> Peer | None:
    rows = session.run("peer", name=name)
    return _peer(rows[0]) if rows else None


def enrolled(session: Session, name: str) -> Peer:
    """Who may come by other roads than a connection to this database. Raises Forbidden for everybody else."""
    peer = find(session, name)
    if peer is None or not (peer.enrolled_at or peer.revoked_at):
        raise Forbidden(f"node {name!r} is not enrolled here", hint=f"at this node: cdc-sync enroll {name}")
    return _standing(peer)


def admitted(session: Session, origin: str, public_key: bytes, carrier: str | None) -> Peer:
    """Who signed a batch that arrives. Raises Forbidden where it is not accepted, whatever it says.

    ``carrier`` is who brings it, None for a connection to this database: there a new node's key is taken as it is,
    because the database let it in.
    """
    if not device.is_name(origin):
        raise Forbidden("a batch comes from a node without a name", hint="give the node a name under its [node]")
    if carrier is None:
        session.run("peer_add", name=origin, public_key=public_key)
        peer = find(session, origin)
        if peer is None:
            raise Forbidden(f"node {origin!r} was forgotten while its batch arrived", hint="send it again")
        return _standing(peer)
    bringer = enrolled(session, carrier)
    if carrier != origin and not bringer.relay:
        raise Forbidden(
            f"node {carrier!r} may not bring batches of other nodes, such as {origin!r}",
            hint=f"at this node: cdc-sync enroll {carrier} --relay --key ...",
        )
    return enrolled(session, origin)


def _standing(peer: Peer) -> Peer:
    if peer.revoked_at:
        raise Forbidden(f"node {peer.name!r} was revoked here on {peer.revoked_at}", hint=LIST)
    return peer


def enroll(database: Database, own_name: str, peer: Peer) -> None:
    """Enrol a node whose key is known, or change what it may do. Raises ConfigError where name or key is another's."""
    with database.begin(Mode.WRITE) as session:
        _check_new(session, own_name, peer.name)
        _enter(session, peer)


def invite(database: Database, own_name: str, key: Ed25519PrivateKey, wanted: Invitation) -> Code:
    """A one-time code for a node to enrol with; an earlier one for it is of no use from now on.

    Raises ConfigError for a node that is enrolled already.
    """
    code = Code.new(device.public_of(key))
    with database.begin(Mode.WRITE) as session:
        _check_new(session, own_name, wanted.name)
        known = find(session, wanted.name)
        if known and known.enrolled_at and not known.revoked_at:
            raise ConfigError(
                f"node {wanted.name!r} is enrolled already, with the key {known.fingerprint}",
                hint=f"a new machine takes a new name; --key changes what {wanted.name} may do",
            )
        session.run("enrolment_remove", name=wanted.name)
        session.run(
            "enrolment_add",
            code_digest=core.digest(code.secret),
            name=wanted.name,
            relay=wanted.relay,
            grants=core.encode_grants(wanted.grants),
            expires_at=wanted.expires_at,
        )
    return code


def redeem(database: Database, key: Ed25519PrivateKey, application: Application) -> Peer:
    """Enrol who applies with a code, once; who was not told that it worked may ask again.

    Raises Forbidden for a code that is unknown, used, too old or somebody else's, and for a name with another key.
    """
    secret = core.secret_of(key, application)
    with database.begin(Mode.WRITE) as session:
        known = find(session, application.name)
        if known:
            core.check_same(known, application.public_key)
        rows = session.run("enrolment", code_digest=core.digest(secret))
        if not rows and known and known.enrolled_at:
            return _standing(known)
        invitation = _invitation(rows[0]) if rows else None
        if invitation is None or invitation.name != application.name or invitation.expires_at < clock.now():
            raise Forbidden(f"node {application.name!r} comes with a code that is not valid", hint=core.NEW_CODE)
        session.run("enrolment_remove", name=application.name)
        peer = Peer(
            name=invitation.name,
            public_key=application.public_key,
            relay=invitation.relay,
            grants=invitation.grants,
            enrolled_at=clock.now(),
        )
        _enter(session, peer)
        return peer


def learn(session: Session, name: str, public_key: bytes) -> Peer:
    """Know a server by its key, for its receipts: it may write nothing here, unless it was enrolled for that.

    Raises Forbidden where the name is known with another key: the server's key has changed.
    """
    known = find(session, name)
    if known is None:
        known = Peer(name=name, public_key=public_key, grants=core.NOTHING, enrolled_at=clock.now())
        _enter(session, known)
    if known.public_key != public_key:
        raise core.changed_key(name, public_key, known.public_key)
    return known


def learn_configured(database: Database, config: Config) -> None:
    """Know the destinations and sources whose keys the file holds. Raises Forbidden as ``learn`` does."""
    with database.begin(Mode.WRITE) as session:
        for destination in config.destinations:
            if destination.key:
                learn(session, destination.name, destination.key)
        for source in config.sources:
            if source.key and find(session, source.name) is None:
                _enter(session, Peer(name=source.name, public_key=source.key, enrolled_at=clock.now()))
            elif source.key:
                learn(session, source.name, source.key)


def revoke(database: Database, name: str) -> bool:
    """Refuse a node from now on, whatever road it comes by. False where it was not known, but had a code.

    Raises ConfigError for a name that is not known at all.
    """
    with database.begin(Mode.WRITE) as session:
        known, waiting = find(session, name), [i for i in invited(session) if i.name == name]
        if known is None and not waiting:
            raise ConfigError(f"no node {name!r} is known here", hint=LIST)
        session.run("enrolment_remove", name=name)
        session.run("peer_revoke", name=name, revoked_at=clock.now())
        return known is not None


def _check_new(session: Session, own_name: str, name: str) -> None:
    registry.check_name(session, own_name)
    if not device.is_name(name):
        raise ConfigError(
            f"{name!r} is no node's name", hint="use letters, digits, dots, dashes and underscores, 63 at most"
        )
    if name == own_name:
        raise ConfigError(f"{name!r} is this node itself", hint="name the other node")


def _enter(session: Session, peer: Peer) -> None:
    """Raises ConfigError where the name has another key, or the key another name."""
    session.run("enrolment_remove", name=peer.name)
    session.run(
        "peer_enroll",
        name=peer.name,
        public_key=peer.public_key,
        relay=peer.relay,
        grants=core.encode_grants(peer.grants),
        enrolled_at=peer.enrolled_at,
    )
    for known in listed(session):
        if known.name == peer.name and known.public_key != peer.public_key:
            raise ConfigError(
                f"node {peer.name!r} is known with another key, {known.fingerprint}",
                hint="give every machine a node name of its own",
            )
        if known.name != peer.name and known.public_key == peer.public_key:
            raise ConfigError(
                f"that is the key of node {known.name!r}", hint="every machine makes a key of its own: never copy one"
            )


def _peer(row: Sequence[Any]) -> Peer:
    name, public_key, relay, grants, enrolled_at, revoked_at = row
    return Peer(
        name=name,
        public_key=bytes(public_key),
        relay=bool(relay),
        grants=core.decode_grants(grants),
        enrolled_at=enrolled_at or "",
        revoked_at=revoked_at or "",
    )


def _invitation(row: Sequence[Any]) -> Invitation:
    name, relay, grants, expires_at = row
    return Invitation(name=name, relay=bool(relay), grants=core.decode_grants(grants), expires_at=expires_at)
