"""The command line of looking into what lies here. Options in, one call, output."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click

from cdc_sync import config, databases, inspection
from cdc_sync.cli.terminal import config_option
from cdc_sync.core.readable import Reconciled, text
from cdc_sync.errors import ConfigError, Deferred, batches, counted

ROWS = 100
"""Rows that are shown unless somebody asks for more."""


@click.command()
@config_option
@click.argument("table", default="")
@click.option("--origin", default="", metavar="NODE", help="Look at what this node sealed only.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Rows with this value only; can be said again.")
@click.option("--limit", default=ROWS, show_default=True, type=click.IntRange(0), help="Rows to show; 0: all.")
@click.option(
    "--reconcile", type=click.File(encoding="utf-8"), metavar="FILE|-", help="Scanned identifiers, one a line."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def inspect(
    context: click.Context,
    config_path: Path,
    table: str,
    origin: str,
    where: tuple[str, ...],
    limit: int,
    reconcile: TextIO | None,
    *,
    as_json: bool,
) -> None:
    """Show what lies here and is on its way: all of it, or the rows of TABLE. Nothing is changed.

    With --reconcile, scanned identifiers are held against TABLE.COLUMN; ends with 3 where something differs.

    Example: cdc-sync inspect specimen.label --reconcile scanned.txt
    """
    settings = config.load(config_path)
    if not table and (where or reconcile):
        raise ConfigError("no table is named", hint="cdc-sync inspect TABLE, or TABLE.COLUMN with --reconcile")
    with databases.connect(settings.node.database, settings.folder) as database:
        if reconcile is not None:
            if where:
                raise ConfigError("--where and --reconcile do not go together", hint="take one of them out")
            found = inspection.reconcile(database, table, _lines(reconcile), origin=origin)
            _tell_reconciled(found, as_json=as_json)
            if found.differs:
                context.exit(Deferred.exit_code)
        elif table:
            shown = inspection.rows(database, table, origin=origin, where=where, limit=limit)
            _tell_rows(shown, table, as_json=as_json)
        else:
            _tell_summary(inspection.summary(database, origin), as_json=as_json)


def _lines(file: TextIO) -> list[str]:
    try:
        return file.read().splitlines()
    except UnicodeDecodeError:
        raise ConfigError("what was scanned is no text in UTF-8", hint="have the scanner write one a line") from None


def _tell_reconciled(found: Reconciled, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    click.echo(f"{len(found.matched)} matched")
    for title, identifiers in (
        ("missing: carried, and not scanned", found.missing),
        ("unexpected: scanned, and not carried", found.unexpected),
        ("scanned more than once", found.duplicates),
    ):
        if identifiers:
            click.echo(f"{len(identifiers)} {title}")
            for identifier in identifiers:
                click.echo(f"  {identifier}")


def _tell_rows(found: inspection.Rows, table: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    for row in found.rows:
        click.echo(f"{row.operation} by {row.origin}, batch {row.number}")
        for column, value in row.columns.items():
            click.echo(f"    {column} = {'null' if value is None else text(value)}")
    if not found.rows:
        click.echo(f"No such row of {table} lies here.")
    if found.more:
        click.echo(f"{counted(found.more, 'row')} more; --limit 0 shows all")


def _tell_summary(chains: Sequence[inspection.Chain], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(chain) for chain in chains], indent=2, ensure_ascii=False))
        return
    for chain in chains:
        click.echo(f"{chain.origin}{' (this node)' if chain.own else ''}: {batches(chain.first, chain.last)}")
        for table, counts in sorted(chain.tables.items()):
            click.echo(f"  {table}: " + ", ".join(counted(count, word) for word, count in sorted(counts.items())))
    if not chains:
        click.echo("Nothing lies here.")
