"""Count what happens to the frames of a stream, and say it: to a person or as one JSON object."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.errors import MdicError
from common.stream.clock import ClockSample
from common.stream.messages import Ack, DropCounts, MainFrame, SideFrame, Status
from common.stream.stats import Samples, Tally

GRPC_PREFIX_BYTES = 5
HTTP2_FRAME_BYTES = 9
_MAX_REASONS = 32
_TELEMETRY = ("telemetry_raw", "telemetry_sent")


def wire_bytes(message_bytes: int) -> int:
    """Return what a message takes on the connection: with its gRPC and HTTP/2 headers.

    Without TCP and IP, and without the pings and window updates between (proto/TRANSPORT.md, section 10).
    """
    return message_bytes + GRPC_PREFIX_BYTES + HTTP2_FRAME_BYTES


@dataclass
class StreamFacts:
    """What a stream was asked to do: the constant part of its report."""

    camera: str
    cloud: str
    vehicle: str
    role: str
    quality: int | str
    bundle: str | None = None
    session: str | None = None
    height: int = 0
    width: int = 0
    side_height: int = 0
    side_width: int = 0
    side_codec: str | None = None
    mode: str = "live"
    stream_id: str | None = None
    spool: str | None = None


@dataclass
class StreamStats:
    """Everything counted while a stream runs. Thread-safe: counters are tallies and samples."""

    clock: Callable[[], int] = time.monotonic_ns
    frames: Tally = field(default_factory=Tally)
    """captured, main_sent, side_sent, resent, decoded, dropped_by_cloud, failed, and held: the cloud had it already"""
    sizes: Tally = field(default_factory=Tally)
    """main, side, wire, telemetry_raw (the rig's records), telemetry_sent (the messages made of them), in bytes"""
    main_drops: Tally = field(default_factory=Tally)
    side_drops: Tally = field(default_factory=Tally)
    cloud_drops: Tally = field(default_factory=Tally)
    late_places: Tally = field(default_factory=Tally)
    """where frames were given up because their time was over"""
    connections: Tally = field(default_factory=Tally)
    """opened, lost, refused"""
    clock_sample: ClockSample | None = None
    """the last estimate of the cloud's clock against ours"""
    spooled: Callable[[], int] | None = None
    """durable: returns how many frames wait in the spool"""
    telemetry_drops: Tally = field(default_factory=Tally)
    """messages of records given up before sending, by reason"""
    side_states: Tally = field(default_factory=Tally)
    qualities: Tally = field(default_factory=Tally)
    latency_ms: Samples = field(default_factory=Samples)
    cloud_queue_ms: Samples = field(default_factory=Samples)
    cloud_decode_ms: Samples = field(default_factory=Samples)
    stages_ms: dict[str, Samples] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def dropped(self, reason: str, *, main: bool, side: bool) -> None:
        """Count one captured frame given up before sending, in each view it had."""
        if main:
            self.main_drops.add(reason)
        if side:
            self.side_drops.add(reason)

    def encoded(self, quality: int | None, ms: dict[str, float]) -> None:
        """Take the stage times of one encoded frame."""
        if quality is not None:
            self.qualities.add(str(quality))
        with self._lock:
            for stage in ms:
                self.stages_ms.setdefault(stage, Samples())
        for stage, value in ms.items():
            self.stages_ms[stage].add(value)

    def sent(self, frame: MainFrame | SideFrame, message_bytes: int) -> None:
        """Count one frame handed to the connection."""
        self._touch()
        main = isinstance(frame, MainFrame)
        self.frames.add("main_sent" if main else "side_sent")
        self.sizes.add(
            "main" if main else "side", len(frame.packet if isinstance(frame, MainFrame) else frame.data)
        )
        self.sizes.add("wire", wire_bytes(message_bytes))

    def sent_telemetry(self, message_bytes: int) -> None:
        """Count one message of records handed to the connection."""
        self._touch()
        self.sizes.add("wire", wire_bytes(message_bytes))

    def late(self, place: str, *, main: bool, side: bool, count: int = 1) -> None:
        """Count frames given up at `place` because their time was over, in each view they had."""
        self.late_places.add(place, count)
        if main:
            self.main_drops.add("late", count)
        if side:
            self.side_drops.add("late", count)

    def acknowledged(self, ack: Ack, latency_ms: float | None) -> None:
        """Count what the cloud said about one main frame; `latency_ms` is None when nobody knows its age."""
        self._touch()
        if ack.status is Status.DECODED:
            self.frames.add("decoded")
            if latency_ms is not None:
                self.latency_ms.add(latency_ms)
            self.cloud_queue_ms.add(ack.queue_ms)
            self.cloud_decode_ms.add(ack.decode_ms)
            self.side_states.add(ack.side.value if ack.side else "missing")
            return
        self.frames.add("failed" if ack.status is Status.FAILED else "dropped_by_cloud")
        reason = ack.detail or ack.status.name.lower()
        known = self.cloud_drops.as_dict()
        self.cloud_drops.add(reason if reason in known or len(known) < _MAX_REASONS else "other")

    @property
    def acked(self) -> int:
        """Return the number of main frames the cloud has settled, one by one or all below a number at once."""
        return sum(self.frames[what] for what in ("decoded", "dropped_by_cloud", "failed", "held"))

    @property
    def unsettled(self) -> int:
        """Return the number of main frames not acknowledged: sent ones, or all that the spool holds."""
        return self.frames["main_sent"] - self.acked if self.spooled is None else self.spooled()

    def drop_counts(self, view: str) -> DropCounts:
        """Return the drops of `main` or `side` as the end message carries them."""
        return DropCounts(**(self.main_drops if view == "main" else self.side_drops).as_dict())

    def _touch(self) -> None:
        now = self.clock()
        if self.first_ns is None:
            self.first_ns = now
        self.last_ns = now


def report(facts: StreamFacts, stats: StreamStats, error: MdicError | None = None) -> dict[str, Any]:
    """Return the summary of a stream as one JSON-ready object."""
    seconds = ((stats.last_ns or 0) - (stats.first_ns or 0)) / 1e9
    main_sent, side_sent = stats.frames["main_sent"], stats.frames["side_sent"]
    settled = stats.frames["decoded"] if main_sent else side_sent
    return {
        "camera": facts.camera,
        "cloud": facts.cloud,
        "vehicle": facts.vehicle,
        "session": facts.session,
        "mode": facts.mode,
        "stream_id": facts.stream_id,
        "spool": facts.spool,
        "role": facts.role,
        "bundle": facts.bundle,
        "height": facts.height,
        "width": facts.width,
        "side_height": facts.side_height,
        "side_width": facts.side_width,
        "side_codec": facts.side_codec,
        "quality": facts.quality,
        "qualities": stats.qualities.as_dict(),
        "frames": {
            "captured": stats.frames["captured"],
            "sent": main_sent,
            "side_sent": side_sent,
            "resent": stats.frames["resent"],
            "held": stats.frames["held"],
            "acked": stats.acked,
            "decoded": stats.frames["decoded"],
            "dropped_by_cloud": stats.frames["dropped_by_cloud"],
            "failed": stats.frames["failed"],
            "unsettled": stats.unsettled,
        },
        "dropped": {
            "main": stats.drop_counts("main").as_dict(),
            "side": stats.drop_counts("side").as_dict(),
            "cloud": stats.cloud_drops.as_dict(),
            "telemetry": stats.telemetry_drops.as_dict(),
        },
        "late": stats.late_places.as_dict(),
        "connections": {what: stats.connections[what] for what in ("opened", "lost", "refused")},
        "clock": _clock(stats.clock_sample),
        "side_states": stats.side_states.as_dict(),
        "bytes": {name: stats.sizes[name] for name in ("main", "side", "wire", *_TELEMETRY)},
        "bpp": _bpp(stats.sizes["main"], main_sent, facts.height, facts.width),
        "side_bpp": _bpp(stats.sizes["side"], side_sent, facts.side_height, facts.side_width),
        "seconds": round(seconds, 3),
        "fps": round(settled / seconds, 3) if seconds > 0 else None,
        "latency_ms": stats.latency_ms.summary(),
        "cloud_ms": {"queue": stats.cloud_queue_ms.summary(), "decode": stats.cloud_decode_ms.summary()},
        "encode_ms": {stage: samples.summary() for stage, samples in stats.stages_ms.items()},
        "error": None if error is None else {"code": error.exit_code, "message": str(error)},
    }


def describe(summary: dict[str, Any]) -> str:
    """Return the summary as lines for a person."""
    frames, sizes = summary["frames"], summary["bytes"]
    lines = [
        f"session   {summary['session'] or '-'} at {summary['cloud']}, camera {summary['camera']}, "
        f"role {summary['role']}",
        f"frames    {frames['captured']} captured, {frames['sent']} main and {frames['side_sent']} side sent",
        f"cloud     {frames['decoded']} decoded, {frames['dropped_by_cloud']} dropped, "
        f"{frames['failed']} failed, {frames['unsettled']} unsettled",
    ]
    ways = summary["connections"]
    if ways["lost"] or ways["refused"]:
        lines.append(
            f"link      {ways['opened']} connections, {ways['lost']} lost, {ways['refused']} refused; "
            f"{frames['resent']} frames sent again"
        )
    for place, counts in summary["dropped"].items():
        told = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
        if told:
            lines.append(f"dropped   {place}: {told}")
    if summary["side_states"]:
        told = ", ".join(f"{count} {state}" for state, count in summary["side_states"].items())
        lines.append(f"side view {told}")
    rates = [
        f"{name} {summary[key]:.4f} bpp"
        for name, key in (("main", "bpp"), ("side", "side_bpp"))
        if summary[key]
    ]
    lines.append(
        f"bytes     main {sizes['main']}, side {sizes['side']}, on the wire {sizes['wire']}"
        + (f" ({', '.join(rates)})" if rates else "")
    )
    raw, sent = (sizes[name] for name in _TELEMETRY)
    if raw:
        lines.append(f"telemetry {raw} bytes of records as {sent} ({100 * (1 - sent / raw):.0f} % saved)")
    if summary["fps"] is not None:
        lines.append(f"speed     {summary['fps']:.2f} frames/s over {summary['seconds']:.1f} s")
    if summary["latency_ms"]:
        lines.append(f"latency   {_spread(summary['latency_ms'])} (capture to ack)")
    if summary["clock"]:
        clock = summary["clock"]
        lines.append(
            f"clock     cloud {clock['offset_ms']:+.3f} ms ahead, round trip {clock['rtt_ms']:.3f} ms"
        )
    if summary["encode_ms"]:
        told = ", ".join(
            f"{stage} {numbers['p50']:.1f}" for stage, numbers in summary["encode_ms"].items() if numbers
        )
        lines.append(f"encode    {told} (ms, p50)")
    return "\n".join(lines)


def _clock(sample: ClockSample | None) -> dict[str, float] | None:
    if sample is None:
        return None
    return {"offset_ms": round(sample.offset_ns / 1e6, 3), "rtt_ms": round(sample.rtt_ns / 1e6, 3)}


def _spread(numbers: dict[str, float]) -> str:
    return f"p50 {numbers['p50']:.0f}, p95 {numbers['p95']:.0f}, p99 {numbers['p99']:.0f} ms"


def _bpp(total_bytes: int, frames: int, height: int, width: int) -> float | None:
    pixels = frames * height * width
    return round(total_bytes * 8 / pixels, 5) if pixels else None
