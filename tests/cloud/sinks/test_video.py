"""The video: opens, has every frame, shows both views, at capture times."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from fake_decoder import BUNDLE_ID

from cloud.sinks.base import SinkFrame
from cloud.sinks.video import VideoSink, side_by_side
from common.bitstream.session import SessionFacts
from common.errors import UsageError
from common.types import SideState

S = 1_000_000_000


def frame(
    seq: int,
    height: int = 64,
    width: int = 96,
    vehicle: str = "car",
    t_s: float | None = None,
    side=True,
    **c,
):
    image = np.full((height, width, 3), 40, np.uint8)
    other = np.full((height, width, 3), 200, np.uint8) if side else None
    capture_ns = round((seq / 10 if t_s is None else t_s) * S)
    fields = {"packet": b"abc", "image": image, "side": other, "side_state": SideState.EXACT, "session": "s"}
    return SinkFrame(
        **{**fields, "vehicle": vehicle, "seq": seq, "capture_ns": capture_ns, **c},
        facts=SessionFacts(BUNDLE_ID, height, width),
    )


def read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [f.to_ndarray(format="rgb24") for f in frames], [float(f.pts * f.time_base) for f in frames]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 97), (375, 1242)])
def test_every_frame_is_there_with_both_views(tmp_path: Path, height: int, width: int) -> None:
    path = tmp_path / "deep" / "v.mp4"
    sink = VideoSink(path)
    for seq in range(7):
        sink.write(frame(seq, height, width))
    assert not path.exists()  # it appears when complete
    sink.close()
    images, times = read(path)
    assert len(images) == 7
    assert images[0].shape == (height + height % 2, 2 * width, 3)
    assert abs(int(images[3][10, 10, 0]) - 40) < 6 and abs(int(images[3][10, width + 10, 0]) - 200) < 6
    assert np.allclose(np.diff(times), 0.1, atol=0.002)
    capture = cv2.VideoCapture(str(path))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 7
    assert [p.name for p in path.parent.iterdir()] == ["v.mp4"]


def test_times_are_capture_times_but_never_go_back_or_leap(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4")
    for seq, t_s in enumerate((5.0, 5.1, 5.4, 3.0, 3.1, 9000.0)):
        sink.write(frame(seq, t_s=t_s))
    sink.close()
    _, times = read(tmp_path / "v.mp4")
    assert np.allclose(np.diff(times), [0.1, 0.3, 0.001, 0.1, 2.0], atol=0.002)


def test_each_vehicle_and_each_recording_has_its_own_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4")
    for vehicle in ("a", "b"):
        sink.write(frame(0, vehicle=vehicle))
    sink.close_vehicle("b")
    sink.close_vehicle("never-seen")
    sink.write(frame(1, vehicle="b"))
    sink.write(frame(2, 128, 96, vehicle="b"))  # another size cannot go on in the same file
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v-b-2.mp4", "v-b-3.mp4", "v-b.mp4", "v.mp4"]


def test_a_vehicle_name_cannot_take_another_recording_away(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4")
    for vehicle in ("a", "b", "b-2"):
        sink.write(frame(0, vehicle=vehicle))
    sink.close_vehicle("b")
    sink.write(frame(0, vehicle="b"))
    sink.close()
    assert len(list(tmp_path.iterdir())) == 4


def test_frames_that_were_not_decoded_are_left_out(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4")
    sink.write(frame(0, image=None))
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_side_by_side() -> None:
    main = np.full((65, 97, 3), 1, np.uint8)
    assert side_by_side(main, None).shape == (66, 194, 3)
    assert side_by_side(main, None)[0, 100, 0] == 0
    small, tall = np.full((64, 65, 3), 2, np.uint8), np.full((80, 65, 3), 2, np.uint8)
    assert side_by_side(main, small).shape == side_by_side(main, tall).shape == (66, 162, 3)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in \.mp4"):
        VideoSink(tmp_path / "v.gif")


def test_only_an_old_encoder_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cloud.sinks.video as video

    monkeypatch.setattr(video, "_ENCODERS", (("no-such-encoder", {}), ("mpeg4", {"qscale": "3"})))
    sink = VideoSink(tmp_path / "v.mp4")
    for seq in range(3):
        sink.write(frame(seq))
    sink.close()
    assert len(read(tmp_path / "v.mp4")[0]) == 3
