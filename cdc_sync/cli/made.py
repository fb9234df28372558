"""What ``install-triggers --with-views`` says of the views that it makes."""

import click

from cdc_sync.config import Config
from cdc_sync.databases import Database


def views(database: Database, config: Config, *, dry_run: bool) -> bool:
    """Make the views that are missing, or print what would make them. Returns whether all of them stand now."""
    from cdc_sync import counterparts  # sqlglot costs a fifth of a second at every start

    complete = True
    for each in counterparts.make(database, config, dry_run=dry_run):
        where = f"view {each.view} at {each.destination or 'this node'}"
        if each.refusal:
            complete = False
            click.echo(f"{where}: {each.refusal}", err=True)
            click.echo(f"hint: {each.hint}" if each.hint else "", err=True, nl=bool(each.hint))
        elif dry_run:
            click.echo(f"-- {where}: {'it stands there' if each.stood else 'missing'}\n{each.script}")
        else:
            click.echo(f"{where}: {'stands there, and was left as it is' if each.stood else 'made'}")
    return complete
