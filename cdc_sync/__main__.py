"""The ``cdc-sync`` command, and ``python -m cdc_sync``."""

import gc

gc.disable()  # while 600 modules load, of which none is garbage: a sixth of the start

from cdc_sync import cli  # noqa: E402


def main() -> None:
    """Run the command. What start-up has made is never looked at again by the garbage collector."""
    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
