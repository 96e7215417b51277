from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from common.errors import SpoolError
from common.stream.messages import Telemetry
from common.stream.sender import Settled
from common.types import SideCodec
from edge.spool import Spool, SpoolFull, SpoolReader


def test_what_is_kept_is_there_again_in_the_next_run(folder: Path, make) -> None:
    spool = Spool(folder, 1 << 20)
    identity, form = spool.stream_id, spool.format_id(make.form())
    told = (Telemetry(0, 5, "oxts", b"1 2 3"), Telemetry(0, 5, "calib", b"zip", True))
    assert spool.append(form, [make.frame(0), make.frame(1, telemetry=told)]) == range(0, 2)
    assert spool.load(1).taken_ns is not None
    spool.close()
    spool = Spool(folder, 1 << 20)
    assert (spool.stream_id, spool.pending, spool.next_seq, spool.oldest()) == (identity, 2, 2, 0)
    stored = spool.load(1)
    assert (stored.packet, stored.capture_ns, stored.taken_ns) == (bytes([1]) * 50, 10**18 + 1, None)
    assert [(t.kind, t.data, t.compressed) for t in stored.telemetry] == [
        ("oxts", b"1 2 3", False),
        ("calib", b"zip", True),
    ]
    assert spool.append(spool.format_id(make.form()), [make.frame(2)]) == range(2, 3)
    assert list(spool.formats().values()) == [make.form()]
    spool.close()


def test_settled_frames_go_and_their_line_stays(spool: Spool, make) -> None:
    form = spool.format_id(make.form())
    spool.append(form, [make.frame(n) for n in range(10)])
    spool.set_base(100)
    assert spool.settle(Settled(kept=(7,), failed=(8,), below=3, ranges=((4, 5),))) == 7
    assert spool.settle(Settled(kept=(7,), below=3)) == 0
    assert spool.numbers(-1, form, 99) == [3, 6, 9] and spool.pending == 3
    assert spool.load(7) is None and not spool.sides(7, None)
    assert spool.bytes == 3 * make.frame(0).size
    rows = list(spool.ledger())
    assert [row["seq"] for row in rows] == list(range(100, 110))
    assert [row["state"] for row in rows[6:]] == ["pending", "kept", "failed", "pending"]
    assert rows[3]["sha256"] == hashlib.sha256(bytes([3]) * 50).hexdigest() and rows[3]["bytes"] == 50


def test_limit_refuses_the_newest_and_settling_makes_room(folder: Path, make) -> None:
    size = make.frame(0).size
    spool = Spool(folder, 3 * size + 10)
    form = spool.format_id(make.form())
    spool.append(form, [make.frame(n) for n in range(3)])
    with pytest.raises(SpoolFull):
        spool.append(form, [make.frame(3)])
    assert (spool.next_seq, spool.pending) == (3, 3)
    assert not spool.wait_room(size, 0.01)
    spool.settle(Settled(below=1))
    assert spool.wait_room(size, 0.01)
    assert spool.append(form, [make.frame(3)]) == range(3, 4)
    spool.close()


def test_file_does_not_grow_while_frames_come_and_go(folder: Path, make) -> None:
    spool = Spool(folder, 1 << 20, ledger_rows=50)
    form = spool.format_id(make.form())
    sizes = []
    for n in range(300):
        spool.append(form, [make.frame(n, packet=os.urandom(3000), side=os.urandom(30_000))])
        if n >= 10:
            spool.settle(Settled(below=n - 10))
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
    assert sizes[-1] <= sizes[100] * 1.1 < 12 << 20
    assert len(list(spool.ledger())) <= 62  # 50, and those pending
    spool.close()


def test_a_long_outage_gives_its_room_back(folder: Path, make) -> None:
    spool = Spool(folder, 64 << 20)
    form = spool.format_id(make.form())
    for n in range(40):
        spool.append(form, [make.frame(n, side=bytes(1 << 20))])
    spool.settle(Settled(below=40))
    while spool._database.query("PRAGMA freelist_count")[0][0] * 4096 > 9 << 20:
        spool.append(form, [make.frame(0)])
        spool.settle(Settled(below=spool.next_seq))
    spool.close()
    assert (folder / "spool.sqlite").stat().st_size < 12 << 20


def test_side_views_that_others_need_stay_until_the_next_keyframe(spool: Spool, make) -> None:
    form = spool.format_id(make.form(SideCodec.HEVC))
    for n in range(12):
        spool.append(form, [make.frame(n, keyframe=n % 5 == 0, reference=max(0, n - 1))])
    spool.settle(Settled(below=8))
    # After a cut the decoder knows nothing: 8 needs 5, 6, 7, which the cloud has the main views of.
    assert [side.seq for side in spool.sides(8, None)] == [5, 6, 7, 8]
    assert [side.seq for side in spool.sides(9, 8)] == [9]
    assert spool.sides(10, 8)[0].keyframe
    assert spool.sides(9, 4)[0].seq == 5
    assert spool.sides(4, None) == []
    spool.settle(Settled(below=12))
    assert not spool.pending
    spool.append(form, [make.frame(12, keyframe=False, reference=11)])
    assert [side.seq for side in spool.sides(12, None)] == [10, 11, 12]
    spool.settle(Settled(below=13))
    spool.close()
    again = SpoolReader(spool.folder)
    assert again.bytes == 0
    again.close()


def test_one_missing_link_makes_a_side_view_useless(spool: Spool, make) -> None:
    form = spool.format_id(make.form(SideCodec.HEVC))
    spool.append(form, [make.frame(0), make.frame(1, side=None), make.frame(2, keyframe=False, reference=1)])
    assert spool.sides(1, None) == [] == spool.sides(2, None)
    spool.append(form, [make.frame(3, keyframe=False, reference=0)])
    assert spool.sides(3, 2) == []  # 2 was sent since: the decoder has moved on


def test_position_of_a_recording_is_kept_with_its_frames(spool: Spool, make) -> None:
    form = spool.format_id(make.form())
    assert spool.position("kitti:a") == 0
    spool.append(form, [make.frame(n) for n in range(4)], "kitti:a")
    spool.append(form, [make.frame(9)], "kitti:b")
    spool.append(form, [make.frame(9)])
    assert (spool.position("kitti:a"), spool.position("kitti:b")) == (4, 10)
    spool.finish_pass("kitti:a")
    assert (spool.position("kitti:a"), spool.position("kitti:b")) == (0, 10)


def test_age_by_both_clocks(folder: Path, make, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, 1 << 20)
    form = spool.format_id(make.form())
    spool.append(form, [make.frame(0), make.frame(1)])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert spool.expire(60) == 0  # the clock was set forward
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert spool.expire(60) == 0  # or back
    spool.append(form, [make.frame(2, taken_ns=time.monotonic_ns() - 100 * 10**9)])
    monkeypatch.setattr(time, "time", real)
    spool.close()
    spool = Spool(folder, 1 << 20)  # another process: only the wall clock says anything
    monkeypatch.setattr(time, "time", lambda: real() + 100)
    assert spool.expire(60) == 3
    assert [row["state"] for row in spool.ledger()] == ["expired"] * 3
    spool.close()


def test_formats_of_waiting_frames_oldest_first(spool: Spool, make) -> None:
    old, new = spool.format_id(make.form(bundle="11" * 8)), spool.format_id(make.form())
    assert spool.format_id(make.form()) == new != old
    spool.append(new, [make.frame(0)])
    spool.append(old, [make.frame(1)])
    spool.append(new, [make.frame(2)])
    assert list(spool.formats()) == [new, old]
    assert spool.numbers(-1, new, 9) == [0, 2] and spool.oldest(old) == 1
    spool.settle(Settled(kept=(0,)))
    assert list(spool.formats()) == [old, new]


def test_killed_in_the_middle_of_writing_keeps_what_was_committed(folder: Path, root: Path) -> None:
    code = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from edge.spool import Spool, SpoolFormat, SpoolFrame
        spool = Spool(Path(sys.argv[1]), 1 << 28)
        form = spool.format_id(SpoolFormat(1, "00" * 8, 64, 96, 64, 96, 2))
        while True:
            numbers = spool.append(form, [SpoolFrame(0, 0, 0, os.urandom(500), os.urandom(20000))] * 3)
            print(numbers.stop, flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    told = [int(process.stdout.readline()) for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].split()
    spool = Spool(folder, 1 << 28)
    least = int(rest[-1]) if rest else told[-1]
    assert (
        least <= spool.next_seq <= least + 3 and spool.next_seq % 3 == 0 and spool.pending == spool.next_seq
    )
    for row in spool.ledger():
        assert hashlib.sha256(spool.load(row["seq"]).packet).hexdigest() == row["sha256"]
    spool.close()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mount"), reason="a small disk needs root to mount it"
)
def test_full_disk_refuses_frames_and_still_lets_them_go(tmp_path: Path, make) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        spool = Spool(disk / "spool", 1 << 30)
        form = spool.format_id(make.form())
        count = 0
        with pytest.raises(SpoolFull):
            while True:
                spool.append(form, [make.frame(count, side=os.urandom(20_000))])
                count += 1
        with pytest.raises(OSError), open(disk / "eater", "wb", buffering=0) as eater:
            while True:  # what is left goes to somebody else
                eater.write(bytes(4096))
        assert count > 20 and spool.pending == count
        assert spool.settle(Settled(below=count)) == count
        spool.append(form, [make.frame(count)])  # in the room that the others left
        spool.close()
        spool = Spool(disk / "spool", 1 << 30)
        assert (spool.pending, spool.next_seq) == (1, count + 1)
        spool.close()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_page_bound_is_a_full_disk_too(spool: Spool, make) -> None:
    form = spool.format_id(make.form())
    spool._database.limit_pages(60)
    with pytest.raises(SpoolFull):
        for n in range(1000):
            spool.append(form, [make.frame(n, side=bytes(9000))])
    kept = spool.pending
    assert 5 < kept < 100
    spool.settle(Settled(below=kept))
    spool.append(form, [make.frame(0, side=bytes(9000))])


def test_reader_looks_in_while_another_writes(spool: Spool, make) -> None:
    spool.append(spool.format_id(make.form()), [make.frame(0)])
    reader = SpoolReader(spool.folder)
    assert (reader.pending, reader.next_seq, reader.stream_id) == (1, 1, spool.stream_id)
    assert 0 <= reader.oldest_age_s() < 60
    spool.settle(Settled(below=1))
    assert reader.oldest() is None and reader.oldest_age_s() is None
    reader.close()


def test_reading_what_is_not_there(folder: Path) -> None:
    with pytest.raises(SpoolError, match="there is none"):
        SpoolReader(folder)
    assert not folder.exists()
