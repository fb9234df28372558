"""A node enrols at a server with the one-time code that a person brought from there."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import clock, peers, remotes
from cdc_sync.config import Config, Destination, Source
from cdc_sync.config.roads import WEB
from cdc_sync.core import peers as core
from cdc_sync.core.peers import Code, Peer
from cdc_sync.core.talk import Enrolled
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import ConfigError
from cdc_sync.transports.http import Line, misnamed


def apply(database: Database, config: Config, at: str, text: str) -> Peer:
    """Enrol at the destination or source of this name, and know it by its key from now on.

    Raises ConfigError for a code that is none, or a name to which no such road leads; Forbidden where who answers is
    not the server that gave out the code, or does not take it; Unreachable.
    """
    code, other = Code.read(text), _named(config, at)
    key = peers.own_key(database, config)
    line = Line(remotes.there(other, b""), config.node.name, key)
    try:
        server = _applied(line, config.node.name, key, code)
    finally:
        line.close()
    return _learnt(database, config, other, server)


def _learnt(database: Database, config: Config, other: Destination | Source, public_key: bytes) -> Peer:
    """A source's own batches are taken; a destination may write nothing here, unless it was enrolled for that."""
    with database.begin(Mode.READ) as session:
        known = peers.find(session, other.name)
    if known is None and isinstance(other, Source):
        known = Peer(name=other.name, public_key=public_key, enrolled_at=clock.now())
        peers.enroll(database, config.node.name, known)
        return known
    with database.begin(Mode.WRITE) as session:
        return peers.learn(session, other.name, public_key)


def _applied(line: Line, name: str, key: Ed25519PrivateKey, code: Code) -> bytes:
    """The server's public key, once it has enrolled this node."""
    answer = line.greet()
    application = core.apply_for(key, name, code, answer.public_key)
    if answer.node != line.there.name:
        raise misnamed(line.there, answer.node)
    enrolled = line.ask_openly("POST", "/v1/enroll", Enrolled, application)
    core.check_confirmed(answer.node, answer.public_key, application, enrolled.signature)
    return answer.public_key


def _named(config: Config, at: str) -> Destination | Source:
    others: tuple[Destination | Source, ...] = (*config.destinations, *config.sources)
    found = next((other for other in others if other.name == at), None)
    if found is None:
        names = ", ".join(other.name for other in others)
        raise ConfigError(
            f"the file names no destination or source {at!r}", hint=f"known are {names}" if names else "name one there"
        )
    if found.scheme not in WEB:
        raise ConfigError(
            f"{at!r} is not reached over HTTP", hint="its DBA enrols this node: cdc-sync enroll NAME --key there"
        )
    return found
