"""The command line: options in, one call, output. No decisions are made here."""

import json
import logging
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cdc_sync import __version__, capture, config, databases, follow, loop, ship
from cdc_sync import doctor as node_doctor
from cdc_sync import status as node_status
from cdc_sync.cli import carry, conflicts, inspect, letters, made, peers, receipts, rejoin, repair, serve
from cdc_sync.cli.terminal import config_option, progress
from cdc_sync.databases import Mode
from cdc_sync.errors import CdcSyncError, Deferred, counted


class _Group(click.Group):
    """Turns errors of ours into a message, a hint and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except CdcSyncError as error:
            _complain(error)
            context.exit(error.exit_code)


def _complain(error: CdcSyncError) -> None:
    click.echo(f"{'waiting' if isinstance(error, Deferred) else 'error'}: {error}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cdc-sync")
def main() -> None:
    """Change data capture and synchronisation between databases, by natural key.

    Write cdc-sync.toml, then run install-triggers once and replicate for good.
    Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 done, but something waits.
    """


main.add_command(letters.dead_letters)
main.add_command(conflicts.conflicts)
main.add_command(rejoin.rejoin)
main.add_command(repair.resync)
main.add_command(repair.verify)
main.add_command(peers.enroll)
main.add_command(peers.revoke)
main.add_command(receipts.receipt)
main.add_command(carry.export)
main.add_command(carry.import_)
main.add_command(inspect.inspect)
main.add_command(serve.serve)


@main.command("install-triggers")
@config_option
@click.option("--dry-run", is_flag=True, help="Print the SQL and touch nothing.")
@click.option("--include-existing", is_flag=True, help="Also send the rows that stand in the tables already.")
@click.option("--with-views", is_flag=True, help="Also make views that are missing at destinations or here.")
@click.pass_context
def install_triggers(
    context: click.Context, config_path: Path, *, dry_run: bool, include_existing: bool, with_views: bool
) -> None:
    """Install triggers that capture every change. Doing it twice changes nothing.

    Example: cdc-sync install-triggers --dry-run > review.sql
    """
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database:
        if settings.tables or not with_views:
            _install(database, settings, dry_run=dry_run, include_existing=include_existing)
        if with_views and not made.views(database, settings, dry_run=dry_run):
            context.exit(Deferred.exit_code)


def _install(database: databases.Database, settings: config.Config, *, dry_run: bool, include_existing: bool) -> None:
    if dry_run:
        with database.begin(Mode.READ) as session:
            click.echo(capture.install_script(session, settings))
        return
    report = capture.install(
        database, settings, include_existing=include_existing, seal=lambda: ship.seal_waiting(database, settings)
    )
    for table in report:
        click.echo(f"{table.table}: {table.state}, {_existing(table)}")
        if table.unseen:
            click.echo(f"  {table.unseen}: rows deleted or given another key meanwhile may be left at the destinations")
    click.echo("Changes are captured from now on. Next: cdc-sync replicate")


def _existing(table: capture.Installed) -> str:
    rows = f"{table.existing} rows stand in it"
    if not table.existing:
        return "empty"
    if table.captured_existing:
        return f"{rows} and will be sent"
    if table.state == "unchanged":
        return rows
    return f"{rows} and will not be sent (--include-existing sends them)"


@main.command("uninstall-triggers")
@config_option
@click.option("--dry-run", is_flag=True, help="Print the SQL and touch nothing.")
@click.option("--discard", is_flag=True, help="Lose the changes that have not been sent.")
def uninstall_triggers(config_path: Path, *, dry_run: bool, discard: bool) -> None:
    """Remove the triggers and everything else of cdc-sync. Refuses while changes wait to be sent."""
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database:
        if dry_run:
            with database.begin(Mode.READ) as session:
                click.echo(capture.release_script(session))
            return
        discarded = capture.uninstall(database, settings.node.name, discard=discard)
    click.echo(
        "Nothing of cdc-sync is left in the database." + (f" {discarded} changes were lost." if discarded else "")
    )


@main.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, config_path: Path, *, as_json: bool) -> None:
    """Look for what needs a hand, here and at every destination. Ends with 3 where something does."""
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database:
        findings = node_doctor.examine(database, settings)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'!' if finding.urgent else '-'} {finding.subject}: {finding.message}")
            click.echo(f"    {finding.mend}")
        if not any(finding.urgent for finding in findings):
            click.echo("Nothing needs a hand.")
    if any(finding.urgent for finding in findings):
        context.exit(Deferred.exit_code)


@main.command()
@config_option
@click.argument("tables", nargs=-1)
def pause(config_path: Path, tables: tuple[str, ...]) -> None:
    """Stop capturing TABLES, or all: for a migration or a bulk job. What waits is still sent.

    Example: cdc-sync pause subject
    """
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database:
        _name("paused", follow.pause(database, settings, tables))
    click.echo("What changes now is sent after: cdc-sync resume")


@main.command()
@config_option
@click.argument("tables", nargs=-1)
def resume(config_path: Path, tables: tuple[str, ...]) -> None:
    """Capture paused TABLES again, or all, and send what happened to them meanwhile."""
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database:
        _name("captured again", follow.resume(database, settings, tables))


def _name(what: str, tables: list[str]) -> None:
    for table in tables:
        click.echo(f"{table}: {what}")
    if not tables:
        click.echo("nothing to do")


@main.command()
@config_option
@click.option("--once", is_flag=True, help="Send and apply everything that waits, then end.")
@click.pass_context
def replicate(context: click.Context, config_path: Path, *, once: bool) -> None:
    """Seal changes into batches, send them to every destination and apply them there.

    Without --once it runs until SIGTERM or Ctrl-C, and ends after the batch in hand.
    """
    settings = config.load(config_path)
    if once:
        with progress() as bar:
            done = loop.drain(settings, bar or ship.Progress(), lambda item: _tell_done(item, settings.node.name))
        if any(isinstance(item, ship.Delivered) and item.waiting for item in done):
            click.echo("hint: cdc-sync dead-letters list --at DESTINATION says why", err=True)
            context.exit(Deferred.exit_code)
        return
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    loop.run(settings, ship.Progress(), _stop_on_signals(), _complain)


def _tell_done(item: ship.Delivered | ship.Fetched, node: str) -> None:
    if isinstance(item, ship.Fetched):
        click.echo(f"{item.source}: fetched {counted(item.batches, 'batch')} of {item.origin}")
        return
    at, whose = item.receipt, "" if item.receipt.origin == node else f"{item.receipt.origin} "
    stored = f", stored up to batch {at.stored}" if at.stored > at.applied else ""
    click.echo(f"{item.destination}: {whose}applied up to batch {at.applied}{stored}")
    for state, count in item.waiting.items():
        click.echo(f"  {counted(count, 'row')} put aside there: {state}")


def _stop_on_signals() -> threading.Event:
    """Set from another thread: a signal may come while this one holds the event's own lock, and would wait for it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    return stop


@main.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(context: click.Context, config_path: Path, *, as_json: bool) -> None:
    """Say what waits: changes to seal, batches to deliver, batches to apply."""
    settings = config.load(config_path)
    with databases.connect(settings.node.database, settings.folder) as database:
        report = node_status.status(database, settings)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        _print_status(report)
    if report.waiting:
        context.exit(Deferred.exit_code)


def _print_status(report: node_status.Status) -> None:
    click.echo(f"node {report.node}: {report.sealed} batches sealed" if report.epoch else f"node {report.node}")
    for table in report.tables:
        gap = f"; changes are missed: {table.gap}" if table.gap else ""
        click.echo(f"  {table.table}: {table.unsealed} changes to seal{gap}")
    for destination in report.destinations:
        click.echo(
            f"  to {destination.destination}: stored up to {destination.stored}, applied up to {destination.applied}, "
            f"{destination.waiting_changes} changes in {destination.waiting_batches} batches wait"
        )
    for origin in report.origins:
        _print_origin(origin)
    for trouble in report.troubles:
        about = f", batches of {trouble.origin}" if trouble.origin not in ("", report.node) else ""
        click.echo(f"  {trouble.peer}{about}: {trouble.message} (since {trouble.since}; nothing was deleted)")
        if trouble.hint:
            click.echo(f"    {trouble.hint}")


def _print_origin(origin: node_status.OriginStatus) -> None:
    aside = "".join(f", {counted(count, 'row')} {state}" for state, count in sorted(origin.aside.items()))
    held = f", {counted(origin.held, 'batch')} held ({counted(origin.held_changes, 'change')})" if origin.held else ""
    click.echo(f"  from {origin.origin}: stored up to {origin.stored}, applied up to {origin.applied}{aside}{held}")
    for there in origin.there:
        click.echo(f"    at {there.destination}: stored up to {there.stored}, applied up to {there.applied}")


@main.command("demo")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the files in this folder.")
def demo_command(keep: Path | None) -> None:
    """Play the field story: two laptops, one community server, on SQLite files of their own."""
    from rich.console import Console  # and the story with it: no other command needs either

    from cdc_sync import demo

    demo.play(keep, Console())
