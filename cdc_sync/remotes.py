"""The roads over HTTP: to destinations and sources whose device keys are known here."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import peers, receipts
from cdc_sync.config import Config, Destination, Source
from cdc_sync.core.receipts import Signed
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import ConfigError, Forbidden
from cdc_sync.transports.http import Line, There
from cdc_sync.transports.remote import Remote, RemoteOffer


def open_road(config: Config, destination: Destination, database: Database, key: Ed25519PrivateKey) -> Remote:
    """As ``roads.open_road``, where the URL is one of HTTP."""
    return Remote(*_line(config, destination, database, key))


def open_offer(config: Config, source: Source, database: Database, key: Ed25519PrivateKey) -> RemoteOffer:
    """As ``roads.open_offer``. A source that does not answer at once is left for the next round."""
    line, take = _line(config, source, database, key)
    line.knocks = 1
    return RemoteOffer(line, take)


def there(other: Destination | Source, key: bytes) -> There:
    """Another node's server; ``key`` is its public device key, empty where it is not known."""
    what = "destination" if isinstance(other, Destination) else "source"
    return There(name=other.name, url=other.url, where=f"{what} {other.name!r}", key=key, ca=other.ca)


def _line(
    config: Config, other: Destination | Source, database: Database, key: Ed25519PrivateKey
) -> tuple[Line, Callable[[Signed], None]]:
    """A line to a node whose key is known here, and what keeps the receipts that come over it."""

    def take(signed: Signed) -> None:
        with database.begin(Mode.WRITE) as session:
            receipts.take(session, signed)
            receipts.settle(session, config)

    return Line(there(other, _known(config, other, database)), config.node.name, key), take


def _known(config: Config, other: Destination | Source, database: Database) -> bytes:
    """The public key of a node that this one goes to. Raises ConfigError where nobody has told it."""
    if other.key:
        peers.learn_configured(database, config)
    with database.begin(Mode.READ) as session:
        peer = peers.find(session, other.name)
    if peer is None:
        raise ConfigError(
            f"the key of {other.name!r} is not known here",
            hint=f"enrol: cdc-sync enroll --with CODE --at {other.name}, with the code that its DBA makes; or write "
            'key = "ssh-ed25519 ..." beside its url, as cdc-sync enroll --show prints it there',
        )
    if peer.revoked_at:
        raise Forbidden(f"node {other.name!r} was revoked here on {peer.revoked_at}", hint=peers.LIST)
    return peer.public_key
