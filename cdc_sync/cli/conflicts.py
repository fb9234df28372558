"""The command line of conflicts: both versions side by side, and a decision."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cdc_sync import apply, config
from cdc_sync.apply import letterbox
from cdc_sync.cli.letters import at_option, opened
from cdc_sync.cli.terminal import config_option
from cdc_sync.core.letters import State
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import CdcSyncError, ConfigError, Deferred

_NAMES = (
    *("id", "origin", "epoch", "batch", "table", "seq", "kind", "policy", "outcome", "met_origin", "met_at"),
    *("captured_at", "source_row", "target_row", "noted_at"),
)


@click.group(invoke_without_command=True)
@config_option
@at_option
@click.option("--held", is_flag=True, help="Only those that nobody has decided.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def conflicts(context: click.Context, config_path: Path, destination: str, *, held: bool, as_json: bool) -> None:
    """Changes that met a row which somebody else wrote, with both versions. Ends with 3 where one is held.

    Conflicts lie in the database where they were met: run this there, or name a destination with --at.
    """
    if context.invoked_subcommand:
        return
    with opened(config.load(config_path), destination) as database:
        found = [conflict for conflict in _all(database) if conflict["outcome"] == "held" or not held]
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        click.echo("No conflicts.")
    else:
        for conflict in found:
            _tell(conflict)
    if any(conflict["outcome"] == "held" for conflict in found):
        context.exit(Deferred.exit_code)


def _all(database: Database) -> list[dict[str, Any]]:
    with database.begin(Mode.READ) as session:
        rows = [dict(zip(_NAMES, row, strict=True)) for row in session.run("conflicts")]
    for row in rows:
        row["source_row"], row["target_row"] = json.loads(row["source_row"]), json.loads(row["target_row"])
    return rows


def _tell(conflict: Mapping[str, Any]) -> None:
    met = conflict["met_origin"] or "this database"
    click.echo(
        f"{conflict['id']}: {conflict['kind']} in {conflict['table']}, {conflict['origin']} met {met}, "
        f"{conflict['policy']}: {conflict['outcome']}"
    )
    source, target = conflict["source_row"], conflict["target_row"]
    width = max((len(column) for column in {**source, **target}), default=0)
    for column in {**target, **source}:
        here, came = target.get(column), source.get(column)
        mark = " " if here == came else "*"
        click.echo(f"  {mark} {column:<{width}}  source: {_shown(source, came)}  target: {_shown(target, here)}")


def _shown(row: Mapping[str, Any], value: object) -> str:
    if not row:
        return "(no row)"
    return "null" if value is None else str(value)


@conflicts.command()
@config_option
@at_option
@click.argument("number", type=int)
@click.argument("version", type=click.Choice(["source", "target"]))
def decide(config_path: Path, destination: str, number: int, version: str) -> None:
    """Say whose VERSION of the row in conflict NUMBER is to stand.

    Example: cdc-sync conflicts decide 12 source
    """
    settings = config.load(config_path)
    with opened(settings, destination) as database:
        conflict = next((conflict for conflict in _all(database) if conflict["id"] == number), None)
        if conflict is None or conflict["outcome"] != "held":
            raise ConfigError(f"no held conflict has the number {number}", hint="cdc-sync conflicts --held lists them")
        with database.begin(Mode.READ) as session:
            letters = letterbox.of(session, conflict["origin"], conflict["epoch"])
        letter = next(
            (
                letter
                for letter in letters
                if (letter.table, letter.seq, letter.state) == (conflict["table"], conflict["seq"], State.HELD)
            ),
            None,
        )
        if letter is None:
            raise ConfigError(
                f"the row of conflict {number} waits no more", hint="cdc-sync conflicts shows its outcome"
            )
        if not apply.decide(database, letter, settings.policies, for_source=version == "source"):
            raise CdcSyncError("the row cannot be written", hint=f"cdc-sync dead-letters show {letter.id} says why")
    click.echo(f"{number}: {version}")
