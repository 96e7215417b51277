from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import CameraError, DatasetError, FrameSizeError
from edge.camera import open_camera


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "not a camera we know"),
        ("kitti", "not a camera we know"),
        ("kitti:", "not a camera we know"),
        ("webcam:0", "synthetic"),
        ("synthetic:x", "whole number, not 'x'"),
        ("synthetic:1:64", "HEIGHTxWIDTH, not '64'"),
        ("synthetic:1:64x99999", "HEIGHTxWIDTH"),
        ("v4l2:/dev/video0", "must be a number"),
        ("v4l2:0?colour=1", "unknown option 'colour'"),
        ("video:/nowhere.mp4", "no such file: /nowhere.mp4"),
        ("video:/nowhere.mp4?layout=tall", "unknown layout 'tall'"),
    ],
)
def test_bad_specs_are_one_clear_error(spec: str, why: str) -> None:
    with pytest.raises(CameraError, match=why) as caught:
        open_camera(spec)
    assert caught.value.spec == spec


def test_what_a_spec_names_is_checked_on_opening(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        open_camera(f"kitti:{tmp_path / 'gone'}")
    with pytest.raises(FrameSizeError, match="10x64"):
        open_camera("synthetic:0:10x64")


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates(fps: float) -> None:
    with pytest.raises(CameraError, match="no frame rate"):
        open_camera("synthetic", fps=fps)


def test_negative_limit() -> None:
    with pytest.raises(CameraError, match="-1 frames"):
        open_camera("synthetic", limit=-1)


def test_question_marks_in_file_names(video: Path) -> None:
    odd = video.with_name("what?.mp4")
    video.rename(odd)
    for spec, with_side in ((f"video:{odd}", True), (f"video:{odd}?layout=mono", False)):
        camera = open_camera(spec, limit=1)
        (frame,) = camera.frames()
        assert (frame.side is not None) == with_side
        assert camera.name == spec
        camera.close()
