"""The command line of the server."""

import logging
import sys
from pathlib import Path

import click

from cdc_sync import config
from cdc_sync.cli.terminal import config_option


@click.command()
@config_option
def serve(config_path: Path) -> None:
    """Receive batches over HTTP, and give out what is held here, until SIGTERM or Ctrl-C.

    Only nodes that are enrolled are let in. [serve] in the file says where to listen and with which certificate.
    """
    settings = config.load(config_path)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    from cdc_sync import web  # and with it the server's packages: no other command needs them

    web.serve(settings, click.echo)
