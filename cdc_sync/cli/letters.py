"""The command line of letters: what was put aside while batches were applied, and what a person says to it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from cdc_sync import apply, config, databases
from cdc_sync.apply import letterbox
from cdc_sync.cli.terminal import config_option
from cdc_sync.config import Config
from cdc_sync.core.letters import Letter
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import ConfigError, Deferred, counted
from cdc_sync.receive import prepare


@click.group("dead-letters")
def dead_letters() -> None:
    """Rows that could not be applied: deferred, held for a decision, or dead.

    They lie in the database that they were sent to: run this there, or name a destination with --at.
    """


def at_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("--at", "destination", default="", help="Look at this destination, not at the node itself.")(
        command
    )


@contextmanager
def opened(settings: Config, destination: str) -> Iterator[Database]:
    with databases.connect(_url(settings, destination), settings.folder) as database:
        prepare(database)
        yield database


def _url(settings: Config, destination: str) -> str:
    if not destination:
        return settings.node.database
    found = next((d for d in settings.destinations if d.name == destination), None)
    if found is None:
        known = ", ".join(d.name for d in settings.destinations) or "none"
        raise ConfigError(f"the configuration has no destination {destination!r}", hint=f"known are {known}")
    if found not in settings.databases:
        raise ConfigError(
            f"destination {destination!r} is no database that this node can open", hint="run the command there"
        )
    return found.url


def _all(database: Database) -> list[Letter]:
    with database.begin(Mode.READ) as session:
        return letterbox.read(session.run("letters"))


def _chosen(database: Database, ids: Sequence[int]) -> list[Letter]:
    waiting = {letter.id: letter for letter in _all(database)}
    missing = [number for number in ids if number not in waiting]
    if missing:
        raise ConfigError(f"no letter has the number {missing[0]}", hint="cdc-sync dead-letters list shows them all")
    return [waiting[number] for number in ids] if ids else list(waiting.values())


@dead_letters.command("list")
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(context: click.Context, config_path: Path, destination: str, *, as_json: bool) -> None:
    """What waits, the oldest first. Ends with 3 where anything does."""
    with opened(config.load(config_path), destination) as database:
        letters = _all(database)
    if as_json:
        click.echo(json.dumps([asdict(letter) for letter in letters], indent=2))
    elif not letters:
        click.echo("Nothing waits.")
    else:
        for letter in letters:
            _tell(letter)
    if letters:
        context.exit(Deferred.exit_code)


def _tell(letter: Letter) -> None:
    code = f" [{letter.code}]" if letter.code and letter.code not in letter.message else ""
    click.echo(f"{letter.id}: {letter.state} since {letter.noted_at}, from {letter.origin}, batch {letter.number}")
    click.echo(f"    {letter.message}{code}")
    click.echo(f"    {letter.hint}")


@dead_letters.command()
@config_option
@at_option
@click.argument("number", type=int)
def show(config_path: Path, destination: str, number: int) -> None:
    """One letter with the values of its row, as they arrived."""
    with opened(config.load(config_path), destination) as database:
        (letter,) = _chosen(database, [number])
        with database.begin(Mode.READ) as session:
            changes = letterbox.changes(session, letter)
    _tell(letter)
    for op, values in changes:
        click.echo(f"    {op} in {letter.table}:")
        for column, value in values.items():
            click.echo(f"        {column} = {value}")


@dead_letters.command()
@config_option
@at_option
@click.argument("numbers", type=int, nargs=-1)
@click.pass_context
def retry(context: click.Context, config_path: Path, destination: str, numbers: tuple[int, ...]) -> None:
    """Try these letters again, or all of them."""
    settings = config.load(config_path)
    with opened(settings, destination) as database:
        chosen = _chosen(database, numbers)
        done = apply.retry(database, chosen, settings.policies)
        left = len(_all(database))
    click.echo(f"{counted(done, 'row')} applied, {counted(left, 'row')} still waiting")
    if left:
        context.exit(Deferred.exit_code)


@dead_letters.command()
@config_option
@at_option
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why, for the record.")
def skip(config_path: Path, destination: str, number: int, reason: str) -> None:
    """Give a letter up: its row stays as it is here. The letter is kept for the record.

    Example: cdc-sync dead-letters skip 7 --reason "entered twice; the paper form says 1987"
    """
    with opened(config.load(config_path), destination) as database:
        (letter,) = _chosen(database, [number])
        with database.begin(Mode.WRITE) as session:
            session.run("letter_skip", id=letter.id, reason=reason)
    click.echo(f"{letter.id}: skipped")
