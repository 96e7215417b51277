"""The zero-bit controls on pairs whose geometry is known."""

import cv2
import numpy as np
import pytest

from benchmarks.rd.controls import best_shift, controls, oracle_disparity, oracle_warp, shift_right, warp
from benchmarks.rd.protocol import Sample
from common.quality import psnr


def _texture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), 2.0)
    fine = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), 0.8)
    return np.clip(128 + 160 * coarse + 60 * fine, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def plane():
    """A pair at one disparity of 12 px everywhere: main(x) = side(x - 12)."""
    world = _texture(96, 300)
    return world[:, 40:260].copy(), world[:, 52:272].copy()


def test_shift_repeats_the_left_edge():
    row = np.arange(5, dtype=np.uint8)[None, :, None].repeat(3, 2)
    assert shift_right(row, 2)[0, :, 0].tolist() == [0, 0, 0, 1, 2]
    assert np.array_equal(shift_right(row, 0), row)


def test_best_shift_finds_the_disparity(plane):
    main, side = plane
    shifted, disparity = best_shift(main, side)
    assert disparity == 12
    assert np.array_equal(shifted[:, 12:], main[:, 12:])


def test_best_shift_never_loses_to_the_copy():
    main, side = _texture(64, 80, 1), _texture(64, 80, 2)
    shifted, _ = best_shift(main, side)
    assert psnr(main, shifted) >= psnr(main, side)


def test_warp_samples_between_pixels():
    ramp = (np.arange(50, dtype=np.uint8) * 4)[None, :, None].repeat(8, 0).repeat(3, 2)
    warped = warp(ramp, np.full((8, 50), 2.5, np.float32))
    assert warped[0, 10, 0] == 4 * 7.5


def test_oracle_recovers_a_scene_of_two_depths():
    height, width = 120, 320
    background, box = _texture(height, width + 64, 3), _texture(60, 90, 4)
    main, side = background[:, 6 : 6 + width].copy(), background[:, 12 : 12 + width].copy()  # 6 px behind
    main[30:90, 160:250] = box
    side[30:90, 160 - 30 : 250 - 30] = box  # 30 px in front
    disparity, holes = oracle_disparity(main, side)
    truth = np.full((height, width), 6.0)
    truth[30:90, 160:250] = 30.0
    trusted = ~holes
    assert np.mean(np.abs(disparity - truth)[trusted] < 1) > 0.97
    assert 0.02 < holes.mean() < 0.3
    assert holes[45:75, 140:155].mean() > 0.6  # the side view does not see this strip beside the box
    rebuilt = oracle_warp(main, side)
    assert psnr(main, rebuilt) > psnr(main, best_shift(main, side)[0]) + 3


def test_controls_of_a_pair_come_with_their_bytes(plane):
    main, side = plane
    found = controls(Sample("x", main, side, 999, main, side), "full")
    assert {name: payload for name, (_, payload, _) in found.items()} == {
        "side-copied": 0,
        "best-shift": 1,
        "oracle-warp": None,
    }
    assert np.array_equal(found["side-copied"][0], side)
    assert found["best-shift"][2] == "12 px"
    assert all(image.shape == main.shape and image.dtype == np.uint8 for image, _, _ in found.values())


def test_no_side_view_no_controls(plane):
    main, side = plane
    assert controls(Sample("x", main, None, 0, main, side), "full") == {}
