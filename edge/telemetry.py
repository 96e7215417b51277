"""Gather a rig's records into messages: many to a message where they may wait, one each where none may be lost."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import Oversize
from common.stream.messages import Mode, Telemetry
from common.telemetry import MAX_BATCH_RECORDS, Record, TelemetryCodec
from common.telemetry.record import MAX_PLAIN_BYTES
from common.types import StereoFrame
from edge.report import StreamStats

LIVE_BATCH_RECORDS = 10
LIVE_HOLD_NS = 1_500_000_000
"""Longest time, by the rig's clock, that a record waits for others of its kind."""
_BATCH_BYTES = MAX_PLAIN_BYTES // 8


class TelemetryPacker:
    """Turn records into messages, each with the records of one kind; one thread at a time.

    What it counts in the report is what goes through it: `telemetry_raw` bytes of records, `telemetry_sent` bytes of
    messages made of them (a message that is dropped or sent twice later is counted once).

    Args:
        codec: of the stream's bundle.
        stats: the stream's counters.
        batch_records: records a message gathers, 1 to 64; with 1 nothing waits here.
        hold_ns: a message goes out when its first record is this much older than the newest.
    """

    def __init__(
        self,
        codec: TelemetryCodec,
        stats: StreamStats,
        batch_records: int = LIVE_BATCH_RECORDS,
        hold_ns: int = LIVE_HOLD_NS,
    ) -> None:
        if not 1 <= batch_records <= MAX_BATCH_RECORDS:
            raise ValueError(f"batches of {batch_records} records (allowed: 1 to {MAX_BATCH_RECORDS})")
        self._codec, self._stats = codec, stats
        self._batch_records, self._hold_ns = batch_records, hold_ns
        self._waiting: dict[str, list[Record]] = {}

    @classmethod
    def for_mode(cls, mode: Mode, codec: TelemetryCodec, stats: StreamStats) -> TelemetryPacker:
        """Return a packer that gathers in live mode and, in durable mode, lets each record go with its frame."""
        return cls(codec, stats, LIVE_BATCH_RECORDS if mode is Mode.LIVE else 1)

    def add(self, seq: int, capture_ns: int, kind: str, data: bytes) -> tuple[Telemetry, ...]:
        """Take one record; return the messages that are due now. An empty record is none."""
        if not data:
            return ()
        due: list[Telemetry] = []
        waiting = self._waiting.setdefault(kind, [])
        if waiting and seq <= waiting[-1].seq:  # a source that begins anew: a batch counts upwards
            due += self._pack(kind)
        self._waiting.setdefault(kind, []).append(Record(seq, capture_ns, data))
        for name, records in list(self._waiting.items()):
            full = len(records) >= self._batch_records or sum(len(r.data) for r in records) >= _BATCH_BYTES
            if full or abs(capture_ns - records[0].capture_ns) >= self._hold_ns:
                due += self._pack(name)
        return tuple(due)

    def add_frame(self, frame: StereoFrame) -> tuple[Telemetry, ...]:
        """Take every record of a frame; return the messages that are due now."""
        return self._joined(self.add(frame.seq, frame.capture_ns, r.kind, r.data) for r in frame.records)

    def flush(self) -> tuple[Telemetry, ...]:
        """Return what still waits."""
        return self._joined(self._pack(kind) for kind in list(self._waiting))

    @staticmethod
    def _joined(parts: Iterable[Iterable[Telemetry]]) -> tuple[Telemetry, ...]:
        return tuple(message for part in parts for message in part)

    def _pack(self, kind: str) -> list[Telemetry]:
        """Return what waits of one kind as messages: one, unless it is too long for one."""
        records = self._waiting.pop(kind, [])
        if not records:
            return []
        try:
            message = self._codec.pack(kind, records)
        except Oversize:
            if len(records) == 1:
                self._stats.telemetry_drops.add("too_large")
                return []
            self._waiting[kind] = records[: len(records) // 2]
            first = self._pack(kind)
            self._waiting[kind] = records[len(records) // 2 :]
            return first + self._pack(kind)
        self._stats.sizes.add("telemetry_raw", sum(len(record.data) for record in records))
        self._stats.sizes.add("telemetry_sent", len(message.data))
        return [message]
