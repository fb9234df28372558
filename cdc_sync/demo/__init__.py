"""The field story on SQLite files: two laptops and a community server."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, RenderableType

from cdc_sync.demo import places, proof, tables
from cdc_sync.demo.comparison import Edit, Row, compare, edits
from cdc_sync.demo.places import World

__all__ = ["play"]

_PLAY_ON = (
    """sqlite3 laptop-01.db "update subject set initials = 'NN' where id = 1\"""",
    "cdc-sync status --config laptop-01.toml",
    "cdc-sync replicate --once --config laptop-01.toml",
    """sqlite3 community.db "select * from subject\"""",
)


def play(keep: Path | None, console: Console) -> None:
    """Play the story in ``keep``, or in a temporary folder, and tell it on the console.

    Raises ConfigError where ``keep`` is not an empty folder, CdcSyncError where the server does not end up with
    exactly the rows that it should hold.
    """
    with places.opened(keep) as folder:
        _Story(places.build(folder), console).tell()
    _next(keep, console)


class _Story:
    """Who takes part, what everybody held so far, and whom to tell."""

    def __init__(self, world: World, console: Console) -> None:
        self.world = world
        self.console = console
        self.earlier = world.server.rows()
        self.told = 0

    def tell(self) -> None:
        self._begin()
        self._first_day()
        entered, arrived = self._held(), self.world.server.rows()
        self._next_day(entered)
        self._show_server()
        self._prove(entered, arrived)

    def _begin(self) -> None:
        self._heading("1. Two laptops, one community server")
        self._say(
            "Two nurses work offline in two villages. The server already holds "
            f"{len(self.earlier)} rows that another laptop brought earlier."
        )
        self.console.print()
        for laptop in self.world.laptops:
            self._command(f"cdc-sync install-triggers --config {laptop.name}.toml")
            laptop.install()

    def _first_day(self) -> None:
        for laptop in self.world.laptops:
            laptop.run(f"{laptop.name.replace('-', '_')}_first_day")
            self._show(tables.held(laptop.name, laptop.ask("joined")))
        self._say("Both laptops gave out the ids 1, 2, 3 ... for different people. Now both send.")
        self._replicate()
        server = {row.place: row for row in self.world.server.rows()}
        self._show(tables.same_ids(self._held(), server))

    def _next_day(self, entered: dict[str, list[Row]]) -> None:
        self._heading("2. The next day")
        for laptop in self.world.laptops:
            laptop.run(f"{laptop.name.replace('-', '_')}_next_day")
        self._show(tables.done(self._edits(entered)))
        self._replicate()

    def _replicate(self) -> None:
        self.console.print()
        for laptop in self.world.laptops:
            self._command(f"cdc-sync replicate --once --config {laptop.name}.toml")
            laptop.replicate()
        batches = self.world.batches()
        self._show(tables.travelled(batches[self.told :]))
        self.told = len(batches)

    def _show_server(self) -> None:
        self._heading("3. The server")
        home = {row.place: (name, row.id) for name, rows in self._held().items() for row in rows}
        self._show(tables.server(self.world.server.ask("joined"), home))

    def _prove(self, entered: dict[str, list[Row]], arrived: list[Row]) -> None:
        self._heading("4. The proof")
        found = self.world.server.rows()
        for name, made in self._edits(entered).items():
            for edit in made:
                if edit.word == "corrected":
                    self._say(proof.corrected(name, edit, arrived, found))
                elif edit.word == "deleted":
                    others = [(other, rows) for other, rows in self._held().items() if other != name]
                    self._say(proof.deleted(name, edit, arrived, found), *proof.untouched(edit, others, found))
        proof.check_ids_kept([*self.earlier, *arrived], found)
        self._compare(found)

    def _compare(self, found: Sequence[Row]) -> None:
        laptops = [row for rows in self._held().values() for row in rows]
        comparison = compare([*self.earlier, *laptops], found)
        comparison.check()
        self._say(
            f"Every row of both laptops ({len(laptops)}) and the server's earlier rows ({len(self.earlier)}), "
            "all columns but ids:"
        )
        self.console.print(str(comparison), style="bold green", highlight=False)

    def _held(self) -> dict[str, list[Row]]:
        return {laptop.name: laptop.rows() for laptop in self.world.laptops}

    def _edits(self, entered: dict[str, list[Row]]) -> dict[str, list[Edit]]:
        return {name: list(edits(entered[name], rows)) for name, rows in self._held().items()}

    def _heading(self, text: str) -> None:
        self.console.print(f"\n{text}", style="bold", highlight=False)

    def _say(self, *sentences: str) -> None:
        self.console.print("", " ".join(sentences), sep="\n", highlight=False, markup=False)

    def _show(self, table: RenderableType) -> None:
        self.console.print("", table, sep="\n", highlight=False)

    def _command(self, text: str) -> None:
        _copyable(self.console, f"$ {text}")


def _next(keep: Path | None, console: Console) -> None:
    """Say where the files are and what to type next."""
    console.print("\nWhat to type next", style="bold", highlight=False)
    if keep is None:
        console.print("\nThe files of this demo are deleted. To keep them and look into them:", highlight=False)
        _copyable(console, "  cdc-sync demo --keep cdc-sync-demo")
    else:
        console.print("\nThe files are in this folder. Change something on a laptop and send it:", highlight=False)
        for line in (f"cd {shlex.quote(str(keep))}", *_PLAY_ON):
            _copyable(console, f"  {line}")
    console.print(
        "\nFor your own tables write a cdc-sync.toml: node, tables with their natural keys, destinations. "
        "Then run cdc-sync install-triggers once, and cdc-sync replicate for good.",
        highlight=False,
    )


def _copyable(console: Console, line: str) -> None:
    """Print a command in one piece, however long it is: a broken line cannot be copied."""
    console.print(line, style="cyan", highlight=False, markup=False, soft_wrap=True)
