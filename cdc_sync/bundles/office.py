"""What ``replicate`` does with a destination's folder: lays down what does not lie there, and takes what is for it."""

import logging
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import receipts
from cdc_sync.bundles.making import Maker
from cdc_sync.bundles.taking import State, bring_in
from cdc_sync.config import Config
from cdc_sync.core.chain import Position
from cdc_sync.core.frames import Frame
from cdc_sync.core.receipts import Signed
from cdc_sync.databases import Database, Mode
from cdc_sync.transports.folder import Shelf

log = logging.getLogger("cdc_sync")


class FolderOffice:
    """See ``transports.folder.Office``."""

    def __init__(
        self, database: Database, config: Config, key: Ed25519PrivateKey, shelf: Shelf, destination: str
    ) -> None:
        self.database = database
        self.config = config
        self.key = key
        self.shelf = shelf
        self.destination = destination
        self.told: set[str] = set()

    def collect(self) -> None:
        self.shelf.check()
        if not self.shelf.coming(self.config.node.name):
            return
        report = bring_in(self.database, self.config, self.key, self.shelf.root)
        for each in report.files:
            if each.state is not State.STORED:
                self._warn(f"{each.path}: {each.problem}. {each.hint}")
        for problem in report.problems:
            self._warn(str(problem))

    def _warn(self, text: str) -> None:
        if text not in self.told:
            log.warning("%s", text)
        self.told.add(text)

    def position(self, origin: str, epoch: str) -> Position:
        with self.database.begin(Mode.READ) as session:
            said = receipts.known(session, origin, epoch).get(self.destination)
        return said or Position(origin=origin, epoch=epoch)

    def put(self, batches: Sequence[Frame]) -> None:
        rest = self._not_there(batches)
        if rest:
            for written in Maker(self.database, self.config, self.key).lay_down(self.shelf, self.destination, rest):
                log.info("wrote %s: %d changes", written.path, written.rows)

    def _not_there(self, batches: Sequence[Frame]) -> Sequence[Frame]:
        """Those that no bundle of ours has there, or had before it was imported."""
        digests = {frame.header.number: frame.sealed.digest.hex()[:8] for frame in batches}
        upto = min(digests, default=1) - 1
        for named in self.shelf.named(self.destination):
            known = named.giver == self.config.node.name and digests.get(named.last) == named.digest
            if known and named.first <= upto + 1:
                upto = max(upto, named.last)
        return [frame for frame in batches if frame.header.number > upto]

    def bring(self, signed: Sequence[Signed]) -> None:
        """Lay down receipts for the destination, unless the same ones lie there."""
        Maker(self.database, self.config, self.key).answer(self.shelf, self.destination, signed, again=False)
