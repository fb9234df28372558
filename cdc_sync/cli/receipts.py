"""The command line of receipts that people tell each other."""

from pathlib import Path

import click

from cdc_sync import config, databases, peers, receipts
from cdc_sync.cli.terminal import config_option
from cdc_sync.databases import Mode
from cdc_sync.errors import ConfigError
from cdc_sync.receive import prepare


@click.command()
@config_option
@click.argument("code", default="")
@click.option("--for", "origin", default="", metavar="NODE", help="Print the code for what NODE sent here.")
def receipt(config_path: Path, code: str, origin: str) -> None:
    """Say over the telephone that batches are applied: print a code at the server, type it in as CODE at the node.

    A code is good for the node that it was made for and for nobody else. Where it does not fit, nothing changes.

    Example: cdc-sync receipt --for laptop-07, and at laptop-07: cdc-sync receipt 42-K7QF-2M9X
    """
    settings = config.load(config_path)
    if bool(code) == bool(origin):
        raise ConfigError("nothing or too much was asked for", hint="type a code, or --for and the name of a node")
    with databases.connect(settings.node.database, settings.folder) as database:
        prepare(database)
        key = peers.own_key(database, settings)
        if code:
            destination, number = receipts.hear(database, settings, key, code)
            click.echo(f"{destination}: applied up to batch {number}")
            return
        with database.begin(Mode.READ) as session:
            found = receipts.codes(session, key, settings.node.name, origin)
    if not found:
        raise ConfigError(f"no batch of node {origin!r} is applied here", hint="cdc-sync status says what waits")
    for number, text in found:
        click.echo(text)
        click.echo(f"  batch {number} of {origin} and all before it; there: cdc-sync receipt {text}")
