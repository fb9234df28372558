"""The roads to other nodes, by what a destination's URL says."""

import urllib.parse
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import databases, peers
from cdc_sync.bundles import FolderOffice
from cdc_sync.config import Config, Destination, Source
from cdc_sync.config.roads import WEB
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import ConfigError
from cdc_sync.inbox import DatabaseInbox
from cdc_sync.transports import Offer, Transport
from cdc_sync.transports.direct import Direct
from cdc_sync.transports.folder import Folder, Shelf

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
        from cdc_sync import remotes  # a tenth of a second at every start, for who goes nowhere by HTTP

        return remotes.open_road(config, destination, database, key)
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
    from cdc_sync import remotes

    return remotes.open_offer(config, source, database, key)
