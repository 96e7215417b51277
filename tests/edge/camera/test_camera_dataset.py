from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import CameraError
from edge.camera import open_camera


def test_plays_the_frames_with_their_times(drive: Path) -> None:
    camera = open_camera(f"kitti:{drive}")
    frames = list(camera.frames())
    assert [f.seq for f in frames] == [0, 1, 2, 3]
    assert [f.capture_ns for f in frames] == [n * 100_000_000 for n in range(4)]
    assert frames[2].main is not None and frames[2].main[0, 0, 0] == 12
    assert frames[2].side is not None and frames[2].side[0, 0, 0] == 102
    assert camera.fps == 10
    assert len(list(camera.frames())) == 4  # it can be played again
    camera.close()
    camera.close()


def test_rate_and_limit(drive: Path) -> None:
    camera = open_camera(f"kitti:{drive}", fps=4, limit=2)
    assert camera.fps == 4
    assert [f.capture_ns for f in camera.frames()] == [0, 250_000_000]
    assert list(open_camera(f"kitti:{drive}", limit=0).frames()) == []


def test_a_broken_image_ends_it_after_the_frames_before(drive: Path) -> None:
    (drive / "right/000002.png").write_bytes(b"scratched")
    camera = open_camera(f"kitti:{drive}")
    seen = []
    with pytest.raises(CameraError, match=r"frame 2: cannot read image .*right/000002\.png"):
        for frame in camera.frames():
            seen.append(frame.seq)
    assert seen == [0, 1]


def test_from_a_frame_on(drive: Path) -> None:
    camera = open_camera(f"kitti:{drive}", limit=3)
    assert [(f.seq, f.capture_ns) for f in camera.frames(1)] == [(1, 100_000_000), (2, 200_000_000)]
    assert list(camera.frames(3)) == []
