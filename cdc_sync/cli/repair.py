"""The commands that bring a destination right: ``resync`` and ``verify``. Options in, one call, output."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from cdc_sync import config, databases
from cdc_sync import resync as node_resync
from cdc_sync import verify as node_verify
from cdc_sync.cli import terminal
from cdc_sync.errors import Deferred, counted


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


@click.command()
@terminal.config_option
@click.argument("tables", nargs=-1)
@click.option("--repair", is_flag=True, help="Have missing and different rows sent by the next replicate.")
@click.option("--exact", is_flag=True, help="Rows that only the destination has count as a difference too.")
@click.option("--keys", "most", default=20, show_default=True, help="List so many natural keys of each kind at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(
    context: click.Context,
    config_path: Path,
    tables: tuple[str, ...],
    *,
    repair: bool,
    exact: bool,
    most: int,
    as_json: bool,
) -> None:
    """Compare TABLES, or all, with every destination that is a database, by natural key.

    Rows with changes on their way are left out. Ends with 3 where a row is missing or different there. Rows that only
    the destination has may be another node's or the server's own: they are listed, and never deleted.

    Example: cdc-sync verify subject --repair && cdc-sync replicate --once
    """
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database, terminal.progress("rows") as bar:
        report = node_verify.verify(database, settings, tables, repair=repair, most=most, progress=bar)
    if as_json:
        click.echo(json.dumps([asdict(table) for table in report], indent=2, ensure_ascii=False))
    else:
        for table in report:
            _print_verified(table)
    if any(table.differs(exact=exact) for table in report):
        context.exit(Deferred.exit_code)


def _print_verified(table: node_verify.Verified) -> None:
    counts = {"missing": table.missing, "different": table.different, node_verify.EXTRA: table.extra}
    counts |= {"left out, because changes wait": table.waiting, "to be sent by the next replicate": table.repaired}
    said = [f"{count} {what}" for what, count in counts.items() if count] or ["equal"]
    click.echo(f"{table.destination}: {table.table}: {counted(table.rows, 'row')}, {', '.join(said)}")
    for what, keys in sorted(table.keys.items(), key=lambda item: list(counts).index(item[0])):
        for key in keys:
            click.echo(f"  {what}: {', '.join(key)}")
        if len(keys) < counts[what]:
            click.echo(f"  {what}: ... and {counts[what] - len(keys)} more (--keys)")
