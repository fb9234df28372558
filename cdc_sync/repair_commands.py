"""The commands that bring a destination right: ``resync`` and ``verify``. Options in, one call, output."""

from pathlib import Path

import click

from cdc_sync import config, databases, terminal
from cdc_sync import resync as node_resync


@click.command()
@terminal.config_option
@click.argument("tables", nargs=-1)
@click.option("--where", default="", metavar="SQL", help="Send only rows that fit this condition (portable SQL).")
@click.option("--anew", is_flag=True, help="Begin anew where an earlier resync was stopped.")
def resync(config_path: Path, tables: tuple[str, ...], *, where: str, anew: bool) -> None:
    """Send the rows that stand in TABLES, or in all, through the same pipe as every change.

    Applications may go on writing. Rows that the destinations have already change nothing there. A resync that was
    stopped goes on where it stopped. Name parents together with their children where the destination may lack both.

    Example: cdc-sync resync subject --where "site = 40"
    """
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database, terminal.progress("rows") as bar:
        report = node_resync.resync(database, settings, tables, where=where, anew=anew, progress=bar)
    for table in report:
        earlier = f", {table.before} of them noted before it was stopped" if table.before else ""
        click.echo(f"{table.table}: {table.rows} rows will be sent{earlier}")
    click.echo("They travel with the next: cdc-sync replicate")
