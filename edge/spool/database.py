"""The database file of a spool: opened once, locked, bounded on disk, its errors in our words."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import SpoolError

FILE, LOCK, BALLAST = "spool.sqlite", "lock", "ballast"
PAGE_BYTES = 4096
BALLAST_BYTES = 1 << 20
CHECKPOINT_PAGES = 200
"""Pages in the write-ahead log after which they move into the file; together less than the ballast."""
WAL_BYTES = 4 << 20
MARGIN_BYTES = 4 << 20
"""What appending leaves free (at most a quarter of the disk), so that moving pages and deleting frames can go on."""
_APPLICATION_ID = 0x4D444943  # "MDIC"
_VERSION = 1
_FULL, _IOERR, _CORRUPT, _NOTADB, _BUSY = 13, 10, 11, 26, 5
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value);
CREATE TABLE formats (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL);
CREATE TABLE passes (camera TEXT PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE frames (
  seq INTEGER PRIMARY KEY, format INTEGER NOT NULL, size INTEGER NOT NULL, capture_ns INTEGER NOT NULL,
  taken_ns INTEGER NOT NULL, run INTEGER NOT NULL, wall_s REAL NOT NULL, packet BLOB NOT NULL
);
CREATE INDEX frames_by_format ON frames (format, seq);
CREATE TABLE sides (
  seq INTEGER PRIMARY KEY, capture_ns INTEGER NOT NULL, inter INTEGER NOT NULL, keyframe INTEGER NOT NULL,
  reference INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE telemetry (
  seq INTEGER NOT NULL, part INTEGER NOT NULL, capture_ns INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL,
  compressed INTEGER NOT NULL, PRIMARY KEY (seq, part)
) WITHOUT ROWID;
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY, wire INTEGER, state INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL,
  capture_ns INTEGER NOT NULL
);
"""


class SpoolFull(Exception):
    """No room: the spool's bound is reached, or the disk is full. Not for the user: whoever writes decides."""


class SpoolDatabase:
    """Own the connection to one spool's SQLite file; every use goes through `transaction` or `query`.

    WAL with `synchronous=FULL`: what is committed survives the end of the process and, as far as SQLite and the
    disk keep their promises, of the power. One process writes at a time (a lock on a file beside it).
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the spool in `folder`, making it where there is none.

        Raises:
            SpoolError: damaged, made by something else, or in use by another process.
        """
        self.folder, self.read_only = folder, read_only
        self.lock = threading.Condition()
        self._lock_file: int | None = None
        if read_only and not (folder / FILE).is_file():
            raise SpoolError(folder, "there is none")
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._lock_file = self._take_lock()
            self._connection = self._open()
        except SpoolFull:
            self._unlock()
            raise SpoolError(folder, "the disk is full") from None
        except OSError as error:
            self._unlock()
            raise SpoolError(folder, error.strerror or str(error)) from None
        except SpoolError:
            self._unlock()
            raise

    def _take_lock(self) -> int:
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise SpoolError(self.folder, "another process is using it") from None
        return handle

    def _unlock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _open(self) -> sqlite3.Connection:
        with self.guard():
            connection = sqlite3.connect(
                self.folder / FILE, timeout=5.0, isolation_level=None, check_same_thread=False
            )
        try:
            with self.guard():
                self._prepare(connection)
            return connection
        except BaseException:
            connection.close()
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        fresh = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not fresh or self.read_only:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != _APPLICATION_ID:
                raise SpoolError(self.folder, f"{FILE} is no spool")
            if version != _VERSION:
                raise SpoolError(
                    self.folder, f"made by another version (format {version}, we know {_VERSION})"
                )
        if self.read_only:
            connection.execute("PRAGMA query_only = 1")
            return
        if fresh:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if fresh:
            script = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
            stream_id = secrets.token_hex(16)
            row = f"INSERT INTO meta VALUES ('stream_id', x'{stream_id}');"
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {row} {script} COMMIT;")
            self._sync_folder()
        self.lay_ballast()

    def _sync_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def limit_pages(self, pages: int) -> None:
        """Let the file never grow beyond so many pages (it does not shrink to them)."""
        with self.lock, self.guard():
            self._connection.execute(f"PRAGMA max_page_count = {pages}")

    # --- use ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction, which is synced to disk at the end or undone as a whole.

        Raises:
            SpoolFull: there was no room.
            SpoolError: the file is damaged.
        """
        with self.lock, self.guard():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def query(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows of a reading statement.

        Raises:
            SpoolError: the file is damaged.
        """
        with self.lock, self.guard():
            return self._connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = _error_code(error)
            if code in (_FULL, _IOERR):
                raise SpoolFull(str(error)) from None
            if code in (_CORRUPT, _NOTADB):
                raise SpoolError(self.folder, f"{FILE} is damaged ({error}); left as it is") from None
            if code == _BUSY:
                raise SpoolError(self.folder, "another process is using it") from None
            raise SpoolError(self.folder, str(error)) from None

    # --- the disk -------------------------------------------------------------------------------------------

    def disk_has(self, size: int) -> bool:
        """Whether the disk has room for so many bytes more, and the margin."""
        try:
            disk = os.statvfs(self.folder)
        except OSError:
            return True  # then writing will say
        margin = min(MARGIN_BYTES, disk.f_blocks * disk.f_frsize // 4)
        (free,) = self.query("PRAGMA freelist_count")[0]
        return size <= free * PAGE_BYTES or disk.f_bavail * disk.f_frsize >= size + margin

    def give_back(self, keep_bytes: int, most_pages: int = 1024) -> None:
        """Shorten the file by free pages beyond `keep_bytes`, a bounded number at a time."""
        with self.lock, self.guard():
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            excess = min(free - keep_bytes // PAGE_BYTES, most_pages)
            if excess > 0:
                # A statement without columns that gives a row for each page: `execute` would stop after the first.
                self._connection.executescript(f"PRAGMA incremental_vacuum({excess})")

    def drop_ballast(self) -> bool:
        """Free the reserve, so that frames can be deleted on a full disk: that too has to be written first.

        The log is emptied into the file, which takes less than the reserve and gives the whole log's room.
        """
        try:
            (self.folder / BALLAST).unlink()
        except OSError:
            return False
        self.checkpoint()
        return True

    def lay_ballast(self) -> None:
        """Take the reserve again, if the disk has it."""
        path = self.folder / BALLAST
        try:
            if path.is_file() and path.stat().st_size == BALLAST_BYTES:
                return
            with open(path, "wb") as file:
                file.write(bytes(BALLAST_BYTES))
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file and empty it, as far as the disk allows."""
        with contextlib.suppress(SpoolFull), self.lock, self.guard():
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file and give up the lock; may be called more than once."""
        with self.lock:
            with contextlib.suppress(SpoolFull, SpoolError), self.guard():
                self._connection.close()
            self._unlock()


def _error_code(error: sqlite3.DatabaseError) -> int:
    """Return SQLite's primary result code; from the message where Python does not tell (before 3.11)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF
    text = str(error)
    told = {
        "is full": _FULL,
        "I/O error": _IOERR,
        "malformed": _CORRUPT,
        "not a database": _NOTADB,
        "locked": _BUSY,
    }
    return next((number for words, number in told.items() if words in text), 1)
