"""What a server did since it started, for its last words."""

from __future__ import annotations

from collections import Counter
from typing import Any

from common.stream.messages import Ack, Status, Telemetry
from common.stream.stats import Samples


class Totals:
    """Count frames over all sessions, by what became of them and why."""

    def __init__(self) -> None:
        self.sessions = 0
        self.received = 0
        self.side_received = 0
        self.frames: Counter[Status] = Counter()
        self.reasons: Counter[str] = Counter()
        self.sides: Counter[str] = Counter()
        self.sides_lost: Counter[str] = Counter()
        self.temporal = 0
        """Frames that the frame before helped to rebuild."""
        self.suspects = 0
        """Frames whose side view probably shows another place."""
        self.again = 0
        """Durable frames that came again, kept or in work already."""
        self.telemetry = 0
        self.telemetry_bytes = 0
        self.telemetry_lost = 0
        self.packet_bytes = 0
        self.side_bytes = 0
        self.queue_ms = Samples()
        self.decode_ms = Samples()

    def settle(self, ack: Ack, reason: str) -> None:
        """Count a settled main frame; `reason` says why it was not decoded."""
        self.frames[ack.status] += 1
        if ack.status is Status.DECODED:
            self.queue_ms.add(ack.queue_ms)
            self.decode_ms.add(ack.decode_ms)
            if ack.side is not None:
                self.sides[ack.side.value] += 1
        else:
            self.reasons[f"{ack.status.name.lower()}: {reason}"] += 1

    def take_telemetry(self, telemetry: Telemetry, kept: bool) -> None:
        """Count a record of a rig."""
        self.telemetry += 1
        self.telemetry_bytes += len(telemetry.data)
        self.telemetry_lost += not kept

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "sessions": self.sessions,
            "received": self.received,
            "decoded": self.frames[Status.DECODED],
            "dropped": self.frames[Status.DROPPED],
            "failed": self.frames[Status.FAILED],
            "unkept": self.frames[Status.UNKEPT],
            "again": self.again,
            "reasons": dict(sorted(self.reasons.items())),
            "side": {name: self.sides[name] for name in ("exact", "stale", "missing")},
            "side_suspect": self.suspects,
            "temporal": self.temporal,
            "side_received": self.side_received,
            "side_lost": dict(sorted(self.sides_lost.items())),
            "telemetry": self.telemetry,
            "telemetry_bytes": self.telemetry_bytes,
            "telemetry_lost": self.telemetry_lost,
            "packet_bytes": self.packet_bytes,
            "side_bytes": self.side_bytes,
            "queue_ms": self.queue_ms.summary(),
            "decode_ms": self.decode_ms.summary(),
        }

    def lines(self) -> list[str]:
        """Return a few lines for people."""
        d = self.as_dict()
        lines = [
            f"{d['sessions']} sessions, {d['received']} frames received: "
            f"{d['decoded']} decoded, {d['dropped']} dropped, {d['failed']} failed"
            + (f", {d['unkept']} not kept" if d["unkept"] else "")
        ]
        lines += [f"  {reason}: {count}" for reason, count in d["reasons"].items()]
        sides = ", ".join(f"{count} {name}" for name, count in d["side"].items())
        lines.append(f"side views: {d['side_received']} received; decoded with {sides}")
        if d["side_suspect"]:
            lines.append(f"side views that probably show another place: {d['side_suspect']}")
        lines.append(f"helped by the frame before: {d['temporal']}")
        lines += [f"  side view lost, {reason}: {count}" for reason, count in d["side_lost"].items()]
        if d["decode_ms"]:
            q, t = d["queue_ms"], d["decode_ms"]
            lines.append(
                f"queue {q['p50']:.0f} ms, decode {t['p50']:.0f} ms (median); "
                f"95 %: {q['p95']:.0f} ms, {t['p95']:.0f} ms"
            )
        return lines
