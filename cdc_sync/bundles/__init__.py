"""Bundles made and taken: what one node has for another, in files that anybody may carry and nobody else can read."""

from cdc_sync.bundles.making import Maker, Written, export, receivers, seal_waiting
from cdc_sync.bundles.office import FolderOffice
from cdc_sync.bundles.taking import Imported, Report, State, Stored, bring_in

__all__ = [
    "FolderOffice",
    "Imported",
    "Maker",
    "Report",
    "State",
    "Stored",
    "Written",
    "bring_in",
    "export",
    "receivers",
    "seal_waiting",
]
