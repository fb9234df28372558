"""``python -m cdc_sync``."""

from cdc_sync.cli import main

if __name__ == "__main__":
    main()
