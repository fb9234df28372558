"""What a node holds at this moment: changes not sealed, batches not delivered, batches not applied."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cdc_sync import follow, receipts, registry, relay, troubles
from cdc_sync.config import Config
from cdc_sync.core.chain import Position
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.databases.reading import Reader
from cdc_sync.errors import ConfigError
from cdc_sync.registry import Registered
from cdc_sync.relay import Carried
from cdc_sync.troubles import Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """Changes captured in one table, or that a view shows, and not sealed yet.

    ``gap`` says why changes were missed, until they are sent.
    """

    table: str
    unsealed: int
    paused: bool
    gap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """What a destination's last receipt said, and how many sealed batches and changes wait for it.

    They wait until they are applied there, or stored where the destination is not final.
    """

    destination: str
    stored: int
    applied: int
    waiting_batches: int
    waiting_changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOn:
    """What a destination's last receipt said of another node's batches."""

    destination: str
    stored: int
    applied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginStatus:
    """How far another node's batches have come here, and how many of its rows are put aside, by what they wait for.

    ``held``, ``held_changes``: batches that lie here, and the changes in them: not applied here, or at a relay not at
    every final destination; ``there``: what destinations said of them.
    """

    origin: str
    epoch: str
    stored: int
    applied: int
    aside: Mapping[str, int]
    held: int
    held_changes: int
    there: tuple[PassedOn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    node: str
    epoch: str
    sealed: int
    tables: tuple[TableStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    origins: tuple[OriginStatus, ...]
    troubles: tuple[Trouble, ...]

    @property
    def waiting(self) -> bool:
        """Whether something failed, or batches of others lie here, or rows put aside, that could not be applied."""
        return bool(self.troubles) or any(origin.held or origin.aside for origin in self.origins)


def status(database: Database, config: Config) -> Status:
    """Raises ConfigError where nothing is installed."""
    with database.begin(Mode.READ) as session:
        if not registry.is_installed(session):
            raise ConfigError(f"no triggers are installed in {database}", hint=_begin(config))
        registry.check_name(session, config.node.name)
        name, epoch, _ = (session.run("node") or [(config.node.name, "", b"")])[0]
        return Status(
            node=name,
            epoch=epoch,
            sealed=(session.run("outbox_last") or [(0, b"")])[0][0],
            tables=tuple(_tables(session)),
            destinations=tuple(_destinations(session, config, name, epoch)) if epoch else (),
            origins=tuple(_origin(session, config, carried) for carried in relay.carried(session)),
            troubles=tuple(troubles.told(session)),
        )


def _begin(config: Config) -> str:
    return "run cdc-sync replicate" if config.node.relay and not config.tables else "run cdc-sync install-triggers"


def _origin(session: Session, config: Config, carried: Carried) -> OriginStatus:
    at = carried.position
    said = receipts.known(session, at.origin, at.epoch) if config.node.relay else {}
    return OriginStatus(
        origin=at.origin,
        epoch=at.epoch,
        stored=at.stored,
        applied=at.applied,
        aside=dict(session.run("letters_waiting", origin=at.origin, epoch=at.epoch)),
        held=carried.batches,
        held_changes=carried.rows,
        there=tuple(
            PassedOn(destination=d.name, stored=said[d.name].stored, applied=said[d.name].applied)
            for d in config.destinations
            if d.name in said
        ),
    )


def _tables(session: Session) -> Iterator[TableStatus]:
    open_gaps, entries = registry.gaps(session), registry.registered(session)
    for name, entry in entries.items():
        stored = entries[entry.base] if entry.base else entry
        only_views = entry.settings is not None and entry.settings.only_views
        if stored.change and not only_views:
            unsealed = _shown(session, name, entry) if entry.base else registry.waiting(session, entry.change)
            gap = open_gaps.get(stored.change, "")
            yield TableStatus(table=name, unsealed=unsealed, paused=stored.paused, gap=gap)


def _shown(session: Session, view: str, entry: Registered) -> int:
    """How many changes of its base a view shows; all of them, until one that was altered is followed."""
    try:
        source = follow.source(session)
    except follow.Drifted:
        return registry.waiting(session, registry.registered(session)[entry.base].change)
    return int(session.query(Reader(source, {}).waiting(view))[0][0])


def _destinations(session: Session, config: Config, name: str, epoch: str) -> Iterator[DestinationStatus]:
    said = receipts.known(session, name, epoch)
    for destination in config.destinations:
        receipt = said.get(destination.name, Position(origin=name, epoch=epoch))
        reached = receipt.applied if destination.final else receipt.stored
        batches, changes = session.run("outbox_waiting", number=reached)[0]
        yield DestinationStatus(
            destination=destination.name,
            stored=receipt.stored,
            applied=receipt.applied,
            waiting_batches=batches,
            waiting_changes=int(changes),
        )
