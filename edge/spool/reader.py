"""Read a spool: what waits, what a frame holds, what was ever captured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.stream.messages import SideFrame, Telemetry
from edge.spool.database import SpoolDatabase
from edge.spool.records import SpoolFormat, StoredFrame

PENDING, KEPT, FAILED, EXPIRED = range(4)
STATES = ("pending", "kept", "failed", "expired")
_OLDEST = "FROM frames NOT INDEXED ORDER BY seq LIMIT 1"


class SpoolReader:
    """Look into a spool, also while another process writes to it."""

    def __init__(self, folder: Path, *, read_only: bool = True) -> None:
        """Open the spool in `folder`.

        Raises:
            SpoolError: there is none, or it cannot be used.
        """
        self.folder = folder
        self._database = SpoolDatabase(folder, read_only=read_only)
        try:
            stream_id, base = self._meta("stream_id"), self._meta("base")
            (self._next,) = self._database.query("SELECT coalesce(max(seq), -1) + 1 FROM ledger")[0]
            count, size, sides = self._database.query(
                "SELECT count(*), coalesce(sum(size), 0), (SELECT coalesce(sum(size), 0) FROM sides) FROM frames"
            )[0]
            self._pending, self._bytes = count, size + sides
        except BaseException:
            self._database.close()
            raise
        self.stream_id = bytes(stream_id)
        self._base: int | None = base
        self._run = -1

    def close(self) -> None:
        """Close it; may be called more than once."""
        self._database.close()

    @property
    def next_seq(self) -> int:
        """Return the number of the next frame: how many were ever captured into it."""
        return int(self._next)

    @property
    def pending(self) -> int:
        """Return how many frames wait for the cloud."""
        return int(self._pending)

    @property
    def bytes(self) -> int:
        """Return what counts against the limit."""
        return int(self._bytes)

    @property
    def base(self) -> int | None:
        """Return what is added to a number on the wire; None before the first welcome."""
        return self._base

    def oldest(self, form: int | None = None) -> int | None:
        """Return the number of the oldest pending frame, of one format or of all; None without one."""
        if form is None:
            rows = self._database.query(f"SELECT seq {_OLDEST}")
        else:
            rows = self._database.query("SELECT min(seq) FROM frames WHERE format = ?", form)
        return rows[0][0] if rows else None

    def oldest_age_s(self) -> float | None:
        """Return how long ago the oldest pending frame was kept, by the wall clock; None without one."""
        rows = self._database.query(f"SELECT wall_s {_OLDEST}")
        return max(0.0, time.time() - rows[0][0]) if rows else None

    def formats(self) -> dict[int, SpoolFormat]:
        """Return the formats of pending frames by number, the one of the oldest frame first."""
        rows = self._database.query(
            "SELECT id, text, (SELECT min(seq) FROM frames WHERE format = id) AS first "
            "FROM formats WHERE first IS NOT NULL ORDER BY first"
        )
        return {number: SpoolFormat.from_text(text) for number, text, _ in rows}

    def position(self, camera: str) -> int:
        """Return the camera's number of the first frame of its present pass that is not here; 0 for a new pass."""
        rows = self._database.query("SELECT next FROM passes WHERE camera = ?", camera)
        return rows[0][0] if rows else 0

    def numbers(self, after: int, form: int, limit: int) -> list[int]:
        """Return the first pending frames of a format with a number above `after`."""
        rows = self._database.query(
            "SELECT seq FROM frames WHERE format = ? AND seq > ? ORDER BY seq LIMIT ?",
            *(form, after, limit),
        )
        return [row[0] for row in rows]

    def load(self, seq: int) -> StoredFrame | None:
        """Return a pending frame; None when it is not there any more."""
        rows = self._database.query("SELECT taken_ns, run, capture_ns, packet FROM frames WHERE seq = ?", seq)
        if not rows:
            return None
        taken_ns, run, capture_ns, packet = rows[0]
        told = self._database.query(
            "SELECT capture_ns, kind, data, compressed FROM telemetry WHERE seq = ? ORDER BY part", seq
        )
        telemetry = tuple(Telemetry(seq, at, kind, data, bool(zipped)) for at, kind, data, zipped in told)
        return StoredFrame(seq, taken_ns if run == self._run else None, capture_ns, packet, telemetry)

    def sides(self, seq: int, sent: int | None) -> list[SideFrame]:
        """Return the side view of a frame, after those it needs that come after `sent` (None: none was sent).

        Empty when the frame has none, or when one that it needs is missing.
        """
        rows: list[Any] = []
        wanted = seq
        while sent is None or wanted > sent:
            found = self._database.query(
                "SELECT seq, capture_ns, keyframe, reference, data FROM sides WHERE seq = ?", wanted
            )
            if not found:
                return []
            rows.append(found[0])
            if found[0][2]:
                break
            wanted = found[0][3]
        else:
            if wanted != sent:
                return []  # what it needs was passed over on this connection
        return [SideFrame(n, at, data, bool(key), ref) for n, at, key, ref, data in reversed(rows)]

    def ledger(self) -> Iterator[dict[str, Any]]:
        """Yield what was captured, oldest first: seq on the wire, the packet's sha256 and bytes, capture_ns, state."""
        after = -1
        while rows := self._database.query(
            "SELECT seq, wire, state, bytes, sha256, capture_ns FROM ledger WHERE seq > ? ORDER BY seq LIMIT 1000",
            after,
        ):
            for seq, wire, state, size, digest, capture_ns in rows:
                yield {
                    "seq": seq + (self._base or 0) if wire is None else wire,
                    "sha256": digest.hex(),
                    "bytes": size,
                    "capture_ns": capture_ns,
                    "state": STATES[state],
                }
            after = rows[-1][0]

    def _meta(self, key: str) -> Any:
        rows = self._database.query("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None
