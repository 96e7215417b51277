"""One record of the rig, and the bounds on records and batches of them."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_BATCH_RECORDS = 64
"""Records in one message."""
MAX_PLAIN_BYTES = 256 << 10
"""A batch before compression, and the records that come out of one."""


@dataclass(frozen=True)
class Record:
    """Hold one record.

    Attributes:
        seq: number of the frame it belongs to; a frame has one record of a kind at most.
        capture_ns: when it was taken, in nanoseconds, by the rig's clock.
        data: its content, such as the line of an OXTS file.
    """

    seq: int
    capture_ns: int
    data: bytes = field(repr=False)
