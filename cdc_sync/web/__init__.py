"""The receiver over HTTP: it takes batches and receipts from enrolled nodes, gives out what it holds, and applies."""

from cdc_sync.web.server import serve

__all__ = ["serve"]
