"""The messages of the stream as plain values; `convert.py` turns them into protobuf and back."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TypeAlias

from common.stream.limits import WIRE_VERSION
from common.types import SideCodec, SideState


class Role(IntEnum):
    """Name the views a connection carries; the numbers are on the wire."""

    BOTH = 1
    MAIN = 2
    SIDE = 3

    @property
    def has_main(self) -> bool:
        """Whether main frames travel on this connection."""
        return self is not Role.SIDE

    @property
    def has_side(self) -> bool:
        """Whether side frames travel on this connection."""
        return self is not Role.MAIN


class Mode(IntEnum):
    """Say what matters more, fresh frames or every frame; the numbers are on the wire."""

    LIVE = 1
    DURABLE = 2


class Status(IntEnum):
    """Say what became of a main frame; the numbers are on the wire.

    UNKEPT (durable only): nothing is wrong with the frame, but it could not be kept; the sender tries again later.
    """

    DECODED = 1
    DROPPED = 2
    FAILED = 3
    UNKEPT = 4


@dataclass(frozen=True)
class DropCounts:
    """Count the frames a sender gave up before sending them, by reason."""

    capture_queue: int = 0
    send_queue: int = 0
    encode_failed: int = 0
    too_large: int = 0
    shutdown: int = 0
    late: int = 0
    spool_full: int = 0
    thinned: int = 0

    @property
    def total(self) -> int:
        """Return the sum over all reasons."""
        return sum(self.as_dict().values())

    def as_dict(self) -> dict[str, int]:
        """Return reason -> count, in a fixed order."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True)
class Hello:
    """Open a connection: the facts that hold for all its frames.

    Attributes:
        vehicle: key of the session; letters, digits, `.`, `_`, `-`, not starting with a dot.
        bundle_id: 8 bytes; empty with `Role.SIDE`.
        height: of the main view in pixels; 0 with `Role.SIDE` (so is `width`).
        side_height: of the side view in pixels; 0 when this connection carries none (so is `side_width`).
        side_codec: None when this connection carries no side view.
        frames_hint: frames the camera will give; 0 when endless or unknown.
        camera: the camera's name, for people.
        stream_id: 16 bytes, the identity of the frames' numbering: of the spool in durable mode, else of the run.
        oldest_seq: durable: the first main frame the edge still holds.
        deadline_ms: live: the age at which a frame becomes useless; 0 for none.
    """

    vehicle: str
    role: Role
    bundle_id: bytes = b""
    height: int = 0
    width: int = 0
    side_height: int = 0
    side_width: int = 0
    side_codec: SideCodec | None = None
    frames_hint: int = 0
    camera: str = ""
    wire_version: int = WIRE_VERSION
    mode: Mode = Mode.LIVE
    stream_id: bytes = bytes(16)
    oldest_seq: int = 0
    deadline_ms: int = 0


@dataclass(frozen=True)
class MainFrame:
    """Carry one packet of the main view (proto/BITSTREAM.md).

    `due_ms` (live with a deadline): the edge's monotonic clock in ms, modulo 2^32, at which it is useless; 0 for never.
    """

    seq: int
    capture_ns: int
    packet: bytes = field(repr=False)
    due_ms: int = 0


@dataclass(frozen=True)
class SideFrame:
    """Carry one coded side view; unless a keyframe, it needs the side frame `reference_seq` before it."""

    seq: int
    capture_ns: int
    data: bytes = field(repr=False)
    keyframe: bool = True
    reference_seq: int = 0


@dataclass(frozen=True)
class Telemetry:
    """Carry records of the rig (`kind`: "oxts", "calib", ...); `compressed`: `data` is a zstd frame."""

    seq: int
    capture_ns: int
    kind: str
    data: bytes = field(repr=False)
    compressed: bool = False


@dataclass(frozen=True)
class Ping:
    """Say that the edge is there, what its monotonic clock shows, and how far it believes the cloud's to be ahead.

    With `rtt_ns` 0 there is no estimate yet; else it is the round trip of the sample behind it.
    """

    edge_ns: int
    offset_ns: int = 0
    rtt_ns: int = 0


@dataclass(frozen=True)
class End:
    """Say that no more frames follow, and how many there were."""

    main_frames: int = 0
    side_frames: int = 0
    main_dropped: DropCounts = DropCounts()
    side_dropped: DropCounts = DropCounts()


@dataclass(frozen=True)
class Welcome:
    """Accept a hello; `max_in_flight` main frames may be sent before the first is acknowledged.

    Attributes:
        next_seq: durable: the sink holds every main frame of the hello's stream_id below it.
        held: durable: (first, last) of what it holds above, ascending.
        base_seq: durable: the first number free in the vehicle's recording, for a stream_id that is new to the cloud.
    """

    session: str
    max_in_flight: int
    wire_version: int = WIRE_VERSION
    next_seq: int = 0
    held: tuple[tuple[int, int], ...] = ()
    base_seq: int = 0


@dataclass(frozen=True)
class Ack:
    """Settle one main frame.

    Attributes:
        side: which side view the decoder had; None unless decoded.
        queue_ms: from receipt to the start of decoding.
        decode_ms: time in the decoder.
        detail: why, when not decoded.
        cumulative: durable: the sink holds every main frame of the stream below it.
    """

    seq: int
    status: Status
    side: SideState | None = None
    capture_ns: int = 0
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    detail: str = ""
    cumulative: int = 0


@dataclass(frozen=True)
class Pong:
    """Answer a ping: its `edge_ns`, and the cloud's monotonic clock at receipt and at sending."""

    edge_ns: int
    received_ns: int
    sent_ns: int


@dataclass(frozen=True)
class Hint:
    """Say how busy the cloud is with this vehicle; `window` is max_in_flight from now on."""

    queue_ms: float
    queued: int
    window: int


@dataclass(frozen=True)
class Fault:
    """Say why the receiver ends the connection; `code` is the exit code of an error class."""

    code: int
    message: str


@dataclass(frozen=True)
class Goodbye:
    """Answer an end: every frame of the connection is settled."""

    decoded: int = 0
    dropped: int = 0
    failed: int = 0
    side_received: int = 0


UplinkMessage: TypeAlias = Hello | MainFrame | SideFrame | End | Ping | Telemetry
DownlinkMessage: TypeAlias = Welcome | Ack | Fault | Goodbye | Pong | Hint
