"""One stream: when the past counts and when it is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from fake_drive import STEP_NS, DriveFrame, drive_frame

from cloud.temporal.stream import TemporalFusion


def step(
    fusion: TemporalFusion, index: int, number: int | None = None, capture_ns: int | None = None
) -> DriveFrame:
    frame = drive_frame(index, noise_px=0.2)
    number = index if number is None else number
    return fusion.step(frame, number, STEP_NS * number if capture_ns is None else capture_ns, frame.side)


def alone(index: int) -> bytes:
    return drive_frame(index, noise_px=0.2).image.tobytes()


def test_the_first_frame_is_as_decoded_and_the_second_is_helped() -> None:
    fusion = TemporalFusion()
    assert step(fusion, 0).image.tobytes() == alone(0) and fusion.share == 0.0
    second = step(fusion, 1)
    assert second.image.tobytes() != alone(1) and 0 < fusion.share < 1
    assert second.ms["temporal"] > 0 and second.truth is not None  # other fields stay
    assert second.mask.tobytes() == drive_frame(1).mask.tobytes()


def test_one_lost_frame_is_bridged() -> None:
    fusion = TemporalFusion()
    step(fusion, 0)
    assert step(fusion, 2).image.tobytes() != alone(2) and fusion.share > 0


@pytest.mark.parametrize(
    ("number", "capture_ns"),
    [(4, None), (2, 10 * STEP_NS), (2, 0), (1, None), (0, None)],
    ids=["frames missing", "time jump", "time runs back", "same number", "numbers run back"],
)
def test_after_a_gap_the_picture_is_the_decoders_own(number: int, capture_ns: int | None) -> None:
    fusion = TemporalFusion()
    step(fusion, 0)
    step(fusion, 1)
    assert step(fusion, 2, number, capture_ns).image.tobytes() == alone(2)
    assert fusion.share == 0.0
    # And it is the past of the next one.
    last = fusion.state
    assert last is not None and last.past.image.tobytes() == alone(2)
    again = step(fusion, 3, last.frame + 1, last.capture_ns + STEP_NS)
    assert again.image.tobytes() != alone(3)


def test_a_cut_and_another_size_are_as_decoded() -> None:
    fusion = TemporalFusion()
    step(fusion, 0)
    other = drive_frame(1, seed=9)
    assert fusion.step(other, 1, STEP_NS, other.side).image.tobytes() == other.image.tobytes()
    assert fusion.share == 0.0
    small = DriveFrame(
        *(part[:64, :96] for part in (other.image, other.mask, other.disparity, other.truth, other.side))
    )
    assert fusion.step(small, 2, 2 * STEP_NS, small.side).image.tobytes() == small.image.tobytes()


def test_reset_forgets() -> None:
    fusion = TemporalFusion()
    step(fusion, 0)
    fusion.reset()
    assert step(fusion, 1).image.tobytes() == alone(1)


def test_lost_frames_change_no_later_frame_for_long() -> None:
    """The encoder knows nothing of the past: after a loss both ends agree at once, and the fusion soon after."""
    through, lossy = TemporalFusion(), TemporalFusion()
    for index in range(24):
        wanted = step(through, index)
        if index not in (2, 3, 4):
            found = step(lossy, index)
    difference = np.abs(wanted.image.astype(int) - found.image)
    assert difference.mean() < 0.01


def test_one_frame_is_all_that_is_kept() -> None:
    fusion = TemporalFusion()
    sizes = []
    for index in range(4):
        frame = step(fusion, index)
        state = fusion.state
        assert state is not None and state.past.image is frame.image
        sizes.append(sum(part.nbytes for part in state.past))
    assert len(set(sizes)) == 1 and sizes[0] == 15 * frame.image[..., 0].size


def test_two_runs_give_the_same_bytes() -> None:
    one, other = TemporalFusion(), TemporalFusion()
    for index in range(4):
        assert step(one, index).image.tobytes() == step(other, index).image.tobytes()
