"""The command line of bundles: files that somebody carries."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import bundles, config, databases, peers, relay
from cdc_sync.bundles import Imported, Report, State, Written
from cdc_sync.cli.terminal import config_option
from cdc_sync.config import Config
from cdc_sync.databases import Database
from cdc_sync.errors import CdcSyncError, Deferred, batches, counted


@contextmanager
def _opened(settings: Config) -> Iterator[tuple[Database, Ed25519PrivateKey]]:
    with databases.connect(settings.node.database, settings.folder) as database:
        relay.prepare(database, settings)
        key = peers.own_key(database, settings)
        peers.learn_configured(database, settings)
        yield database, key


@click.command()
@config_option
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR|FILE",
    help="The stick's folder, or a new file.",
)
@click.option("--for", "receiver", default="", metavar="NODE", help="The node that is to import it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(config_path: Path, to: Path, receiver: str, *, as_json: bool) -> None:
    """Write what a destination has not confirmed into a file that only it can read. Carry it there and import it.

    Receipts for it go into the same file. What was written goes on waiting here until its receipt comes back.

    Example: cdc-sync export --to /media/stick
    """
    settings = config.load(config_path)
    with _opened(settings) as (database, key):
        sealed = bundles.seal_waiting(database, settings, key)
        receivers = bundles.receivers(database, settings, to, receiver)
        written = [w for name in receivers for w in bundles.export(database, settings, key, to, name)]
    if as_json:
        click.echo(json.dumps([_written(each) for each in written], indent=2))
    else:
        for each in written:
            _say_written(each)
        for name in receivers:
            if name not in {each.receiver for each in written}:
                click.echo(f"nothing waits for {name}")
    if not sealed:
        click.echo("note: another cdc-sync is at work here; what it has not sealed yet is not in the file", err=True)


@click.command("import")
@config_option
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE|DIR")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def import_(context: click.Context, config_path: Path, path: Path, *, as_json: bool) -> None:
    """Take a bundle, or all that lie in a folder for this node, in any order; apply them; write receipts beside them.

    Doing it again does no harm. Nothing of a file is stored before all of it is verified. Ends with 1 where a file was
    refused, with 3 where something waits for what is missing.

    Example: cdc-sync import /media/stick
    """
    settings = config.load(config_path)
    with _opened(settings) as (database, key):
        report = bundles.bring_in(database, settings, key, path)
    if as_json:
        click.echo(json.dumps(_report(report), indent=2))
    else:
        _say_report(settings, path, report)
    if report.problems:
        raise report.problems[0]
    states = {each.state for each in report.files}
    if State.REFUSED in states:
        context.exit(CdcSyncError.exit_code)
    if State.DEFERRED in states or report.waiting:
        context.exit(Deferred.exit_code)


def _say_written(written: Written) -> None:
    click.echo(f"{written.path}: for {written.receiver}, {counted(written.size, 'byte')}")
    for origin, first, last in written.batches:
        click.echo(f"  {batches(first, last)} of {origin}")
    if written.batches:
        click.echo(f"  {counted(written.rows, 'change')} in all")
    if written.receipts:
        click.echo(f"  {counted(written.receipts, 'receipt')}")


def _say_report(settings: Config, path: Path, report: Report) -> None:
    if not report.files:
        click.echo(f"nothing for {settings.node.name} lies in {path}")
    for each in report.files:
        _say_file(each)
    if report.applied:
        click.echo(f"applied {counted(report.applied, 'batch')}")
    for state, count in report.waiting.items():
        click.echo(f"  {counted(count, 'row')} put aside: {state}")
    for written in report.written:
        click.echo(f"receipts for {written.receiver}: {written.path}")


def _say_file(found: Imported) -> None:
    click.echo(f"{found.path}: {found.state}" + (f", from {found.giver}" if found.giver else ""))
    for chain in found.chains:
        new = f"{counted(chain.rows, 'change')} new" if chain.batches else "known already"
        click.echo(f"  {batches(chain.first, chain.last)} of {chain.origin}: {'waits' if chain.missing else new}")
    if found.receipts:
        click.echo(f"  {counted(found.receipts, 'receipt')}")
    for note in found.notes:
        click.echo(f"  {note}")
    if found.problem:
        click.echo(f"  {found.problem}", err=True)
        click.echo(f"  hint: {found.hint}", err=True)


def _written(written: Written) -> dict[str, object]:
    return asdict(written) | {"path": str(written.path)}


def _report(report: Report) -> dict[str, object]:
    return {
        "files": [asdict(each) | {"path": str(each.path)} for each in report.files],
        "applied": report.applied,
        "waiting": dict(report.waiting),
        "written": [_written(each) for each in report.written],
        "problems": [str(each) for each in report.problems],
    }
