from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from common.errors import SpoolError
from edge.spool import Spool, SpoolFull
from edge.spool.database import BALLAST, BALLAST_BYTES, FILE, SpoolDatabase, _error_code


def test_durable_settings(folder: Path) -> None:
    database = SpoolDatabase(folder)
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(2,)]  # FULL
    assert database.query("PRAGMA auto_vacuum") == [(2,)]  # incremental
    assert database.query("PRAGMA page_size") == [(4096,)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # what a camera saw is nobody else's business
    assert (folder / BALLAST).stat().st_size == BALLAST_BYTES
    database.close()
    database.close()


def test_one_process_at_a_time(folder: Path, root: Path) -> None:
    database = SpoolDatabase(folder)
    with pytest.raises(SpoolError, match="another process is using it"):
        SpoolDatabase(folder)
    database.close()
    SpoolDatabase(folder).close()


@pytest.mark.parametrize("damage", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 9000])
def test_damaged_file_is_one_clear_error_and_left_alone(folder: Path, damage: bytes) -> None:
    folder.mkdir()
    (folder / FILE).write_bytes(damage)
    with pytest.raises(SpoolError, match="damaged") as caught:
        Spool(folder, 1 << 20)
    assert str(folder) in str(caught.value) and caught.value.exit_code == 48
    assert (folder / FILE).read_bytes() == damage
    with pytest.raises(SpoolError):  # the lock was given back: the same error, not another
        Spool(folder, 1 << 20)


def test_page_destroyed_in_the_middle(folder: Path, make) -> None:
    spool = Spool(folder, 1 << 20)
    form = spool.format_id(make.form())
    spool.append(form, [make.frame(n, side=bytes(5000)) for n in range(30)])
    spool.close()
    data = bytearray((folder / FILE).read_bytes())
    data[4096 * 2 :] = b"\xa5" * (len(data) - 4096 * 2)
    (folder / FILE).write_bytes(data)
    with pytest.raises(SpoolError):
        Spool(folder, 1 << 20).load(3)


def test_other_databases_are_refused(folder: Path) -> None:
    folder.mkdir()
    foreign = sqlite3.connect(folder / FILE)
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    with pytest.raises(SpoolError, match="is no spool"):
        SpoolDatabase(folder)


def test_other_versions_are_refused(folder: Path) -> None:
    SpoolDatabase(folder).close()
    later = sqlite3.connect(folder / FILE)
    later.execute("PRAGMA user_version = 7")
    later.close()
    with pytest.raises(SpoolError, match="another version"):
        SpoolDatabase(folder)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolError, match="Not a directory"):
        SpoolDatabase(tmp_path / "file" / "spool")


def test_transaction_is_all_or_nothing(folder: Path) -> None:
    database = SpoolDatabase(folder)
    with pytest.raises(RuntimeError), database.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 1)")
        raise RuntimeError
    with database.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('b', 1)")
    assert database.query("SELECT key FROM meta WHERE key IN ('a', 'b')") == [("b",)]
    database.close()


def test_reading_only_writes_nothing(folder: Path) -> None:
    SpoolDatabase(folder).close()
    reader = SpoolDatabase(folder, read_only=True)
    with pytest.raises(SpoolError), reader.transaction() as connection:
        connection.execute("DELETE FROM meta")
    reader.close()


def test_ballast_comes_and_goes(folder: Path) -> None:
    database = SpoolDatabase(folder)
    assert database.drop_ballast() and not database.drop_ballast()
    database.lay_ballast()
    assert (folder / BALLAST).stat().st_size == BALLAST_BYTES
    database.checkpoint()
    database.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("database or disk is full", 13),
        ("disk I/O error", 10),
        ("database disk image is malformed", 11),
        ("file is not a database", 26),
        ("database is locked", 5),
        ("no such table: x", 1),
    ],
)
def test_codes_where_python_does_not_tell_them(text: str, code: int) -> None:
    assert _error_code(sqlite3.OperationalError(text)) == code


def test_input_output_errors_are_a_full_disk(folder: Path) -> None:
    database = SpoolDatabase(folder)
    with pytest.raises(SpoolFull), database.guard():
        raise sqlite3.OperationalError("disk I/O error")
    database.close()
