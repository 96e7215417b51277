"""A spool: frames on the edge's disk until the cloud has them."""

from edge.spool.database import SpoolFull
from edge.spool.reader import SpoolReader
from edge.spool.records import SpoolFormat, SpoolFrame, StoredFrame
from edge.spool.spool import DEFAULT_BYTES, Spool

__all__ = [
    "DEFAULT_BYTES",
    "Spool",
    "SpoolFormat",
    "SpoolFrame",
    "SpoolFull",
    "SpoolReader",
    "StoredFrame",
]
