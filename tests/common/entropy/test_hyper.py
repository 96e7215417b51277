"""The hyper decoder: exact against plain integer loops, the same in bands, strict about its arrays."""

from __future__ import annotations

import numpy as np
import pytest

from common.entropy import hyper
from common.entropy.hyper import HyperDecoder
from common.errors import BundleCorrupt


def _conv(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Convolve in int64 with loops over the nine taps: another road than the module's."""
    padded = np.pad(x.astype(np.int64), ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]
    return sum(
        np.einsum(
            "oi,ihw->ohw", w[:, :, dy, dx].astype(np.int64), padded[:, dy : dy + height, dx : dx + width]
        )
        for dy in range(3)
        for dx in range(3)
    )


def _shuffle(a: np.ndarray) -> np.ndarray:
    out = np.zeros((a.shape[0] // 4, 2 * a.shape[1], 2 * a.shape[2]), np.int64)
    for channel in range(a.shape[0]):
        out[channel // 4, channel % 4 // 2 :: 2, channel % 2 :: 2] = a[channel]
    return out


def _reference(arrays: dict, z: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.clip((_conv(z, arrays["w1"]) + arrays["b1"][q][:, None, None] + 2) >> 2, 0, 255)
    a = _shuffle(np.clip((_conv(a, arrays["w2"]) + arrays["b2"][:, None, None] + 32) >> 6, 0, 255))
    a = _shuffle(np.clip((_conv(a, arrays["w3"]) + arrays["b3"][:, None, None] + 32) >> 6, 0, 255))
    acc = _conv(a, arrays["w4"]) + arrays["b4"][q][:, None, None]
    half = acc.shape[0] // 2
    return (acc[:half] + 32) >> 6, np.clip((acc[half:] + 64) >> 7, 0, 63)


@pytest.mark.parametrize("quality", [0, 7])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3)])
@pytest.mark.parametrize("reach", [0, 4, 127])
def test_it_computes_what_the_specification_says(arrays, quality, shape, reach):
    z = np.random.default_rng(reach).integers(-reach, reach + 1, (2, *shape))
    mean_q, scale_index = HyperDecoder(arrays).run(z, quality)
    want_mean, want_index = _reference(arrays, z, quality)
    np.testing.assert_array_equal(mean_q, want_mean)
    np.testing.assert_array_equal(scale_index, want_index)
    assert (mean_q.dtype, scale_index.dtype) == (np.int32, np.uint8)
    assert mean_q.shape == (4, 4 * shape[0], 4 * shape[1])
    assert mean_q.flags.c_contiguous
    assert scale_index.flags.c_contiguous


def test_bands_and_chunks_do_not_show(arrays, monkeypatch):
    z = np.random.default_rng(3).integers(-20, 21, (2, 6, 7))
    whole = HyperDecoder(arrays).run(z, 2)
    monkeypatch.setattr(hyper, "_BAND_POSITIONS", 30)
    monkeypatch.setattr(hyper, "_PRODUCT_MACS", 1)
    for one, other in zip(whole, HyperDecoder(arrays).run(z, 2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_sums_just_below_the_bound_are_exact(arrays):
    # Each layer's largest weights that pass the check, all of one sign, on saturated activations.
    bound = hyper.SUM_LIMIT
    arrays["b2"][:] = bound - 65 - 255 * np.abs(arrays["w2"].astype(int)).sum(axis=(1, 2, 3))
    z = np.full((2, 3, 3), 127)
    mean_q, scale_index = HyperDecoder(arrays).run(z, 0)
    want_mean, want_index = _reference(arrays, z, 0)
    np.testing.assert_array_equal(mean_q, want_mean)
    np.testing.assert_array_equal(scale_index, want_index)


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_that_could_reach_the_bound_are_refused(arrays, sign):
    arrays["b3"][5] = sign * hyper.SUM_LIMIT
    with pytest.raises(BundleCorrupt, match="layer 3 can sum to"):
        HyperDecoder(arrays)


def _drop(key):
    return lambda a: a.pop(key)


def _put(key, make):
    return lambda a: a.update({key: make(a[key])})


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_drop("w3"), "'w3' is missing"),
        (_drop("b4"), "'b4' is missing"),
        (_put("w1", lambda x: x.astype(np.int16)), "'w1' is int16"),
        (_put("b2", lambda x: x.astype(np.float32)), "'b2' is float32"),
        (_put("w2", lambda x: x[..., 0]), "'w2' is int8 of shape"),
        (_put("w2", lambda x: x[..., :2]), "3x3"),
        (_put("w1", lambda x: x[:, :0]), "3x3 and not empty"),
        (_put("w2", lambda x: x[:30]), "do not fit"),
        (_put("w3", lambda x: x[:, :7]), "do not fit"),
        (_put("w4", lambda x: x[:7]), "do not fit"),
        (_put("b1", lambda x: x[:, :7]), "biases do not fit"),
        (_put("b1", lambda x: x[:0]), "biases do not fit"),
        (_put("b3", lambda x: x[:31]), "biases do not fit"),
        (_put("b4", lambda x: x[:7]), "biases do not fit"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, spoil, why):
    spoil(arrays)
    with pytest.raises(BundleCorrupt, match=f"my.file.*{why}"):
        HyperDecoder(arrays, "my.file")


@pytest.mark.parametrize(
    ("z", "quality"),
    [
        (np.zeros((3, 1, 1), int), 0),
        (np.zeros((2, 1), int), 0),
        (np.zeros((2, 0, 1), int), 0),
        (np.full((2, 1, 1), 128), 0),
        (np.full((2, 1, 1), -128, np.int8), 0),
        (np.zeros((2, 1, 1), int), 8),
        (np.zeros((2, 1, 1), int), -1),
    ],
)
def test_input_that_does_not_fit_is_refused(arrays, z, quality):
    with pytest.raises(ValueError, match="z "):
        HyperDecoder(arrays).run(z, quality)
