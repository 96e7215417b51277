from __future__ import annotations

import sys
from pathlib import Path

import pytest

from common.errors import CameraError, MissingDependency
from edge.camera import open_camera


def test_left_half_is_main_and_right_half_is_side(video: Path) -> None:
    camera = open_camera(f"video:{video}")
    frames = list(camera.frames())
    camera.close()
    assert camera.fps == 20 and len(frames) == 5
    assert [f.capture_ns for f in frames] == [n * 50_000_000 for n in range(5)]
    for frame in frames:
        assert frame.main is not None and frame.side is not None
        assert frame.main.shape == frame.side.shape == (64, 128, 3)
        assert frame.main[:, :100].mean() < 80 < 150 < frame.side[:, 28:].mean()


def test_mono_is_the_whole_picture(video: Path) -> None:
    camera = open_camera(f"video:{video}?layout=mono", fps=5, limit=2)
    frames = list(camera.frames())
    assert camera.fps == 5 and len(frames) == 2
    assert frames[0].side is None and frames[0].main is not None and frames[0].main.shape == (64, 256, 3)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"nothing to see" * 50)
    with pytest.raises(CameraError, match="cannot be opened as a video"):
        open_camera(f"video:{tmp_path / 'x.mp4'}")


def test_damage_in_the_middle_keeps_the_frames_before(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    camera = open_camera(f"video:{video}")
    pictures = camera._container.decode(camera._stream)  # type: ignore[attr-defined]

    def breaks(_stream: object):
        yield next(pictures)
        yield next(pictures)
        raise av.error.InvalidDataError(1094995529, "Invalid data found")

    class Container:
        decode = staticmethod(breaks)

    monkeypatch.setattr(camera, "_container", Container())
    seen = []
    with pytest.raises(CameraError, match="damaged after 2 frames"):
        for frame in camera.frames():
            seen.append(frame.seq)
    assert seen == [0, 1]


def test_without_pyav(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependency, match="av is not installed"):
        open_camera(f"video:{video}")


def test_from_a_frame_on(video: Path) -> None:
    camera = open_camera(f"video:{video}")
    frames = list(camera.frames(3))
    camera.close()
    assert [(f.seq, f.capture_ns) for f in frames] == [(3, 150_000_000), (4, 200_000_000)]
