"""Frames on disk until the cloud has them: they survive the process, the connection and the power."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from common.errors import SpoolError
from common.stream.sender import Settled
from edge.spool.database import PAGE_BYTES, SpoolFull
from edge.spool.reader import EXPIRED, FAILED, KEPT, SpoolReader
from edge.spool.records import SpoolFormat, SpoolFrame

DEFAULT_BYTES = 2 << 30
LEDGER_ROWS = 1_000_000
_LEDGER_ROW_BYTES = 96
_FREE_KEPT_BYTES = 8 << 20
_SLACK_PAGES = 4096
_CHUNK_FRAMES = 256
_T = TypeVar("_T")


class Spool(SpoolReader):
    """Keep frames in the order captured, numbered from 0 without gaps, over any number of runs. Thread-safe.

    A frame is pending until `settle`. Then its payload goes, and its line in the ledger stays: number, SHA-256, size.
    With a side codec that refers back, coded side views stay as long as a frame that is pending, or may yet
    come, needs them to be decoded after a cut: at most back to the last keyframe.

    `limit_bytes` bounds the payload. On disk come up to as much again for half-empty pages, 96 bytes a row of the
    ledger, and 8 MiB for the write-ahead log and the reserve; SQLite itself enforces the sum.
    """

    def __init__(
        self, folder: Path, limit_bytes: int = DEFAULT_BYTES, *, ledger_rows: int = LEDGER_ROWS
    ) -> None:
        """Open the spool in `folder`, or make it.

        Raises:
            SpoolError: it cannot be used.
        """
        super().__init__(folder, read_only=False)
        self.limit_bytes, self._ledger_rows = limit_bytes, ledger_rows
        self._run = secrets.randbits(62)
        self._inter: dict[int, bool] = {}
        pages = (2 * limit_bytes + ledger_rows * _LEDGER_ROW_BYTES) // PAGE_BYTES + _SLACK_PAGES
        try:
            self._database.limit_pages(pages)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close it; side views kept only for frames to come go when nothing is pending."""
        if not self.pending and self.bytes:
            with contextlib.suppress(SpoolFull, SpoolError):
                self._free(lambda connection: connection.execute("DELETE FROM sides"))
        super().close()

    def set_base(self, base: int) -> None:
        """Keep `base` for good, before any frame is sent under it.

        Raises:
            SpoolFull: the disk is full.
        """
        if base != self._base:
            sql = "INSERT OR REPLACE INTO meta VALUES ('base', ?)"
            self._free(lambda connection: connection.execute(sql, (base,)))
            self._base = base

    def format_id(self, form: SpoolFormat) -> int:
        """Return the number of a format, new or known.

        Raises:
            SpoolFull: the disk is full.
        """
        text = (form.to_text(),)

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT OR IGNORE INTO formats (text) VALUES (?)", text)
            return int(connection.execute("SELECT id FROM formats WHERE text = ?", text).fetchone()[0])

        number = self._free(work)
        self._inter[number] = form.inter
        return number

    def finish_pass(self, camera: str) -> None:
        """Forget a recording's position: the next run with it starts from its beginning."""
        self._free(lambda connection: connection.execute("DELETE FROM passes WHERE camera = ?", (camera,)))

    # --- in -------------------------------------------------------------------------------------------------

    def has_room(self, size: int) -> bool:
        """Whether frames of that size in all fit within the limit now."""
        return self.bytes + size <= self.limit_bytes

    def wait_room(self, size: int, timeout_s: float) -> bool:
        """Wait until so much fits; return whether it does."""
        with self._database.lock:
            return self._database.lock.wait_for(lambda: self.has_room(size), timeout_s)

    def append(self, form: int, frames: Sequence[SpoolFrame], camera: str | None = None) -> range:
        """Keep frames, all or none; when it returns they are on disk. Returns their numbers.

        Args:
            form: number of their format, from `format_id`.
            frames: in the order captured.
            camera: the recording whose position they are, for the next run to go on from; None for a live camera.

        Raises:
            SpoolFull: there is no room, within the limit or on the disk.
        """
        size = sum(frame.size for frame in frames)
        with self._database.lock:
            if not self.has_room(size):
                raise SpoolFull(f"{self.bytes} of {self.limit_bytes} bytes are taken")
            if not self._database.disk_has(size):
                raise SpoolFull("the disk is full")
            numbers = range(self._next, self._next + len(frames))
            with self._database.transaction() as connection:
                wall_s = time.time()
                for seq, frame in zip(numbers, frames, strict=True):
                    self._insert(connection, seq, form, frame, wall_s)
                if camera is not None and frames:
                    values = (camera, frames[-1].camera_seq + 1)
                    connection.execute("INSERT OR REPLACE INTO passes VALUES (?, ?)", values)
                connection.execute(
                    "DELETE FROM ledger WHERE seq < ? AND state <> 0", (numbers.stop - self._ledger_rows,)
                )
            self._next = numbers.stop
            self._pending += len(frames)
            self._bytes += size
            return numbers

    def _insert(
        self, connection: sqlite3.Connection, seq: int, form: int, frame: SpoolFrame, wall_s: float
    ) -> None:
        side = frame.side
        size = frame.size - (0 if side is None else len(side))
        values = (seq, form, size, frame.capture_ns, frame.taken_ns, self._run, wall_s, frame.packet)
        connection.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        if side is not None:
            about = (
                seq,
                frame.capture_ns,
                self._inter[form],
                frame.keyframe,
                frame.reference,
                len(side),
                side,
            )
            connection.execute("INSERT INTO sides VALUES (?, ?, ?, ?, ?, ?, ?)", about)
        for part, told in enumerate(frame.telemetry):
            record = (seq, part, told.capture_ns, told.kind, told.data, told.compressed)
            connection.execute("INSERT INTO telemetry VALUES (?, ?, ?, ?, ?, ?)", record)
        digest = hashlib.sha256(frame.packet).digest()
        connection.execute(
            "INSERT INTO ledger (seq, bytes, sha256, capture_ns) VALUES (?, ?, ?, ?)",
            (seq, len(frame.packet), digest, frame.capture_ns),
        )

    # --- out ------------------------------------------------------------------------------------------------

    def settle(self, settled: Settled) -> int:
        """Let go what the cloud has, or can never use; return how many pending frames that were.

        Raises:
            SpoolFull: the disk is so full that not all could be deleted.
        """
        count = 0
        for first, last in ((0, settled.below - 1), *settled.ranges):
            sql = "SELECT seq FROM frames WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
            while rows := self._database.query(sql, first, last, _CHUNK_FRAMES):
                count += self._remove([row[0] for row in rows], KEPT)
        for state, numbers in ((KEPT, settled.kept), (FAILED, settled.failed)):
            for at in range(0, len(numbers), _CHUNK_FRAMES):
                count += self._remove(numbers[at : at + _CHUNK_FRAMES], state)
        return count

    def expire(self, age_s: float) -> int:
        """Give up pending frames that are older than `age_s`; return how many.

        Old is a frame by the wall clock and, if this process kept it, by the monotonic clock too: a clock set
        forward costs no frame of a running edge.

        Raises:
            SpoolFull: the disk is so full that not all could be deleted.
        """
        before_ns = time.monotonic_ns() - round(age_s * 1e9)
        count = 0
        while True:
            rows = self._database.query(
                "SELECT seq, wall_s, run, taken_ns FROM frames NOT INDEXED ORDER BY seq LIMIT ?",
                _CHUNK_FRAMES,
            )
            old = [
                seq
                for seq, wall_s, run, taken_ns in rows
                if wall_s < time.time() - age_s and not (run == self._run and taken_ns > before_ns)
            ]
            count += self._remove(old, EXPIRED)
            if not old or len(old) < len(rows):
                return count  # the next ones are younger

    def _remove(self, numbers: Sequence[int], state: int) -> int:
        """Take frames out, those of them that are there; return how many."""
        try:
            return self._remove_at_once(numbers, state)
        except SpoolFull:
            # A smaller change needs less room to be written down; each makes some.
            return sum(self._remove_at_once(numbers[at : at + 8], state) for at in range(0, len(numbers), 8))

    def _remove_at_once(self, numbers: Sequence[int], state: int) -> int:
        if not numbers:
            return 0
        base = self._base or 0

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            count = freed = 0
            for seq in numbers:
                row = connection.execute("SELECT size FROM frames WHERE seq = ?", (seq,)).fetchone()
                if row is None:
                    continue
                count, freed = count + 1, freed + row[0]
                told = (state, base + seq, seq)
                connection.execute("UPDATE ledger SET state = ?, wire = ? WHERE seq = ?", told)
                connection.execute("DELETE FROM telemetry WHERE seq = ?", (seq,))
                connection.execute("DELETE FROM frames WHERE seq = ?", (seq,))
                freed += self._drop_sides(connection, "seq = ? AND inter = 0", seq)
            freed += self._drop_sides(connection, "seq < ?", self._anchor(connection))
            return count, freed

        count, freed = self._free(work)
        with self._database.lock:
            self._pending -= count
            self._bytes -= freed
            self._database.lock.notify_all()
        if count:
            with contextlib.suppress(SpoolFull):
                self._database.give_back(_FREE_KEPT_BYTES)
        return count

    @staticmethod
    def _drop_sides(connection: sqlite3.Connection, where: str, value: int) -> int:
        """Delete side views; return the bytes that frees."""
        (size,) = connection.execute(
            f"SELECT coalesce(sum(size), 0) FROM sides WHERE {where}", (value,)
        ).fetchone()
        connection.execute(f"DELETE FROM sides WHERE {where}", (value,))
        return int(size)

    @staticmethod
    def _anchor(connection: sqlite3.Connection) -> int:
        """Return the number before which no side view is needed any more: a keyframe needs nothing before it."""
        oldest = connection.execute("SELECT seq FROM frames NOT INDEXED ORDER BY seq LIMIT 1").fetchone()
        key = connection.execute(
            "SELECT seq FROM sides WHERE keyframe = 1 AND seq <= ? ORDER BY seq DESC LIMIT 1",
            oldest or (1 << 62,),
        ).fetchone()
        return int(key[0]) if key else 0

    def _free(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run a small change in a transaction, on a full disk with the help of the reserve.

        Raises:
            SpoolFull: not even with that.
        """
        try:
            with self._database.transaction() as connection:
                return work(connection)
        except SpoolFull:
            if not self._database.drop_ballast():
                raise
        try:
            with self._database.transaction() as connection:
                return work(connection)
        finally:
            self._database.checkpoint()
            self._database.lay_ballast()
