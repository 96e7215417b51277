from __future__ import annotations

from pathlib import Path

import pytest

from edge.camera import Camera, open_camera


@pytest.mark.parametrize("kind", ["kitti", "synthetic", "video"])
def test_every_camera_keeps_the_contract(kind: str, drive: Path, video: Path) -> None:
    spec = {"kitti": f"kitti:{drive}", "synthetic": "synthetic:1:64x64", "video": f"video:{video}"}[kind]
    camera: Camera = open_camera(spec, limit=3)
    assert camera.name == spec and camera.fps > 0
    frames = list(camera.frames())
    assert [frame.seq for frame in frames] == [0, 1, 2]
    times = [frame.capture_ns for frame in frames]
    assert times == sorted(set(times))
    for frame in frames:
        for image in (frame.main, frame.side):
            assert image is not None and image.dtype.name == "uint8" and image.flags.c_contiguous
    camera.close()
