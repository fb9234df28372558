"""The command that has a restored or copied node go on. Options in, one call, output."""

from pathlib import Path

import click

from cdc_sync import config, databases
from cdc_sync import rejoin as node_rejoin
from cdc_sync.cli import terminal
from cdc_sync.errors import counted
from cdc_sync.rejoin import Standing

SAID = {
    Standing.GOES_ON: "knows this chain; nothing is wrong",
    Standing.AHEAD: "has batches that this node does not: this database was restored from a copy, or has a twin",
    Standing.BEHIND: "lacks batches that are gone here: it was restored from a copy",
}


@click.command()
@terminal.config_option
@click.option(
    "--refused", type=click.IntRange(min=1), help="The first batch that a server refused, if none can be asked."
)
def rejoin(config_path: Path, *, refused: int | None) -> None:
    """Go on after this database, or a destination's, was restored from a copy, or after it was copied.

    Asks every destination how it stands. Where one does not know this node's chain any more, a new one begins: what no
    destination has is sent again, and so is every row. A row that a destination has otherwise stays there as it is;
    both versions are listed there by cdc-sync conflicts. Rows that were deleted meanwhile on one side only stay on the
    other: cdc-sync verify lists them.

    Two machines that use the same copy need two names: give one of them another name and another key.
    """
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database, terminal.progress("rows") as bar:
        report = node_rejoin.rejoin(database, settings, refused=refused, progress=bar)
    for destination, standing in report.standings.items():
        click.echo(f"{destination}: {SAID[standing]}")
    if report.before:
        click.echo("An earlier rejoin was stopped; this is the rest of it.")
    elif not report.rows:
        click.echo("The chain goes on; nothing was changed.")
        return
    else:
        click.echo(f"A new chain has begun; {counted(report.issued, 'batch')} that nobody has will be sent again.")
    for table in report.rows:
        click.echo(f"{table.table}: {table.rows} rows will be sent as they stand")
    click.echo("They travel with the next: cdc-sync replicate")
