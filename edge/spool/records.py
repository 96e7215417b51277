"""What a spool holds: frames, and what the hello of their connection says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from common.stream.messages import Role, Telemetry
from common.types import SideCodec

ROW_BYTES = 128
"""What a frame costs beside its payload, roundly."""


@dataclass(frozen=True)
class SpoolFormat:
    """What a hello says of its frames; frames of one format can share a connection. `bundle` is hexadecimal."""

    role: int
    bundle: str
    height: int
    width: int
    side_height: int = 0
    side_width: int = 0
    side_codec: int = 0

    @property
    def has_side(self) -> bool:
        """Whether the frames may have a side view."""
        return Role(self.role).has_side

    @property
    def inter(self) -> bool:
        """Whether a side view may need the one before it."""
        return self.side_codec == SideCodec.HEVC

    def to_text(self) -> str:
        """Return it as text, equal for equal formats."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> SpoolFormat:
        """Return what `to_text` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class SpoolFrame:
    """One frame to keep.

    Attributes:
        camera_seq: the camera's own number of it.
        taken_ns: when it was captured, by the monotonic clock.
        capture_ns: the same by the rig's clock, which may jump.
        packet: of the main view.
        side: coded side view, if there is one.
        keyframe: whether that decodes by itself.
        reference: if not, the number in the spool of the one that it needs.
        telemetry: records that belong to it.
    """

    camera_seq: int
    taken_ns: int
    capture_ns: int
    packet: bytes = field(repr=False)
    side: bytes | None = field(default=None, repr=False)
    keyframe: bool = True
    reference: int = 0
    telemetry: tuple[Telemetry, ...] = ()

    @property
    def size(self) -> int:
        """Return the bytes it counts for."""
        told = sum(len(part.data) for part in self.telemetry)
        return ROW_BYTES + len(self.packet) + len(self.side or b"") + told


@dataclass(frozen=True)
class StoredFrame:
    """One frame as it was kept; `taken_ns` is None when an earlier process kept it: its clock says nothing here."""

    seq: int
    taken_ns: int | None
    capture_ns: int
    packet: bytes = field(repr=False)
    telemetry: tuple[Telemetry, ...] = ()
