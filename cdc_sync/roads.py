"""The roads to other nodes, by what a destination's URL says."""

import urllib.parse
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import databases, peers, receipts
from cdc_sync.bundles import FolderOffice
from cdc_sync.config import Config, Destination, Source
from cdc_sync.config.roads import WEB
from cdc_sync.core.receipts import Signed
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import ConfigError, Forbidden
from cdc_sync.inbox import DatabaseInbox
from cdc_sync.transports import Offer, Transport
from cdc_sync.transports.direct import Direct
from cdc_sync.transports.folder import Folder, Shelf
from cdc_sync.transports.http import Line, There
from cdc_sync.transports.remote import Remote, RemoteOffer

FILE = "file"


def open_road(
    config: Config,
    destination: Destination,
    database: Database,
    key: Ed25519PrivateKey,
) -> Transport:
    """The road to a destination, for the caller to close. ``database`` and ``key`` are this node's own.

    Raises Unreachable where nobody answers, and ConfigError where it leads nowhere.
    """
    if destination.scheme == FILE:
        return _folder(config, destination, database, key)
    if destination.scheme in WEB:
        return Remote(*_line(config, destination, database, key))
    target = databases.connect(destination.url, config.folder)
    try:
        _check_other(database, target, destination)
    except BaseException:
        target.close()
        raise
    return Direct(DatabaseInbox(target, config.policies))


def _folder(config: Config, destination: Destination, database: Database, key: Ed25519PrivateKey) -> Folder:
    peers.learn_configured(database, config)
    shelf = Shelf(Path(urllib.parse.unquote(urllib.parse.urlsplit(destination.url).path)))
    shelf.check()
    return Folder(FolderOffice(database, config, key, shelf, destination.name))


def _check_other(own: Database, target: Database, destination: Destination) -> None:
    if target.kind != own.kind:
        return
    with own.begin(Mode.READ) as here, target.begin(Mode.READ) as there:
        if own.identity(here) != target.identity(there):
            return
    raise ConfigError(
        f"destination {destination.name!r} is the node's own database", hint="name another database in its url"
    )


def open_offer(config: Config, source: Source, database: Database, key: Ed25519PrivateKey) -> Offer:
    """The road to a source, for the caller to close. Raises as ``open_road`` does."""
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
