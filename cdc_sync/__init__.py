"""Change data capture and synchronisation between databases, by natural key, over any road."""

__version__ = "0.1.0"
