"""The interface of sinks and their specification on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from common.bitstream.session import SessionFacts
from common.errors import StreamError, UsageError
from common.stream.intervals import Intervals
from common.stream.messages import Mode, Telemetry
from common.telemetry import TelemetryCodec
from common.types import RgbImage, SideState


@dataclass(frozen=True, eq=False)
class SinkFrame:
    """Hold one settled main frame.

    Attributes:
        vehicle: name of the vehicle, safe as a file name.
        session: name of the session.
        seq: number of the frame in its stream.
        capture_ns: capture time in nanoseconds.
        facts: bundle id and frame size of the stream.
        packet: the frame packet as received.
        image: (H, W, 3) uint8 RGB, or None when nothing decodes here.
        side: (H, W, 3) uint8 RGB, the side view it was decoded with, or None.
        side_state: which side view that was.
        temporal: mean weight of the frame before in this one; 0 when it was not used.
        stream: 16 bytes, the identity of the numbering.
        mode: a durable frame is on the disk when its sink says so, and there once.
        side_note: what is to be known of the side view beyond its state, such as "corrupt"; empty for nothing.
        side_trust: mean confidence of the decoder in the side view, 0 to 1; None when it does not say.
        side_suspect: that is so little that the side view probably shows another place.
        error: why a frame that is kept could not be decoded; empty otherwise.
        telemetry: durable: records of the frame, which are to be kept before it is.
    """

    vehicle: str
    session: str
    seq: int
    capture_ns: int
    facts: SessionFacts
    packet: bytes
    image: RgbImage | None
    side: RgbImage | None
    side_state: SideState
    temporal: float = 0.0
    stream: bytes = bytes(16)
    mode: Mode = Mode.LIVE
    side_note: str = ""
    side_trust: float | None = None
    side_suspect: bool = False
    error: str = ""
    telemetry: tuple[Telemetry, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Say that a frame is kept, and with which side view; `again`: it was there before."""

    side: SideState
    again: bool = False


@dataclass(frozen=True, eq=False)
class Held:
    """Say what a sink holds of a stream, and the first number that nothing in the vehicle's recording has."""

    numbers: Intervals
    free_seq: int = 0


class FrameConflict(StreamError):
    """A durable frame of that number is kept already, and it is another one."""

    def __init__(self, vehicle: str, seq: int, same_stream: bool) -> None:
        self.vehicle, self.seq, self.same_stream = vehicle, seq, same_stream
        whose = "with other bytes" if same_stream else "of another stream"
        super().__init__(f"frame {seq} of {vehicle} is kept already, {whose}; nothing was overwritten")


class Sink(Protocol):
    """Take frames; every call comes from the same thread."""

    def write(self, frame: SinkFrame) -> None:
        """Keep one frame; it must be on disk, or on its way there, when this returns."""
        ...

    def close_vehicle(self, vehicle: str) -> None:
        """Complete the recording of one vehicle; a later frame of it starts another."""
        ...

    def close(self) -> None:
        """Complete every recording."""
        ...


@runtime_checkable
class DurableSink(Sink, Protocol):
    """Take frames so that those it answers for survive the end of the process and of the power."""

    def held(self, vehicle: str, stream: bytes) -> Held:
        """Return what is kept of a stream; may be slow, and may come from another thread than the rest."""
        ...

    def write_group(self, frames: Sequence[SinkFrame]) -> list[Kept | Exception]:
        """Keep frames; return for each what was kept, or why it was not."""
        ...


@runtime_checkable
class TelemetrySink(Protocol):
    """Take what a rig tells beside its pictures; in the thread of the frames."""

    def write_telemetry(self, vehicle: str, stream: bytes, telemetry: Telemetry) -> None:
        """Keep the records of a live message."""
        ...


def open_sink(spec: str, codec: TelemetryCodec | None = None) -> Sink:
    """Return the sink that `images:DIR` or `video:FILE` names; `codec` unpacks telemetry (default: no dictionary).

    Raises:
        UsageError: no such kind of sink, or the place cannot be written to.
        MissingDependency: a video without PyAV.
    """
    kind, _, place = spec.partition(":")
    if not place or kind not in ("images", "video"):
        raise UsageError(f"sink {spec!r} is neither images:DIR nor video:FILE")
    try:
        if kind == "images":
            from cloud.sinks.images import ImageSink

            return ImageSink(Path(place), codec)
        from cloud.sinks.video import VideoSink

        return VideoSink(Path(place))
    except OSError as error:
        raise UsageError(f"sink {spec!r} cannot be written to: {error}") from error
