"""The hyper decoder: side information z to a mean and a scale index for each latent, in exact integers.

Encoder and decoder must agree to the last bit on every machine, so nothing here depends on rounding: weights
are int8, activations 0..255, and every sum is bounded below 2^24 when the weights are loaded
(proto/BITSTREAM.md, section 7). The products run through a float64 matmul because BLAS has no integer one;
integers this small are exact in float64 (and would be in float32) whatever the order of summation, so threads
and libraries cannot change the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from common.errors import BundleCorrupt

IntArray: TypeAlias = NDArray[np.integer]

Z_LIMIT = 127
MEAN_UNIT = 16
"""Means are whole sixteenths."""
SCALE_INDICES = 64
SUM_LIMIT = 1 << 24
UPSAMPLING = 4
"""z is at a quarter of the latents' resolution in each direction."""

_ACTIVATION_MAX = 255
_BAND_POSITIONS = 4096
"""Rows are convolved in bands of about this many positions, so memory stays small for any frame."""
_PRODUCT_MACS = 1 << 18
"""Products are cut to this many multiplications, below which OpenBLAS stays on the calling thread: waking a
second one costs ten times the work itself when another process keeps the cores busy."""


class HyperDecoder:
    """Run the four integer layers of a bundle's hyper decoder."""

    def __init__(self, weights: Mapping[str, NDArray[np.generic]], file: str = "entropy.safetensors") -> None:
        """Check and take the layers.

        Args:
            weights: w1 (H1, Z, 3, 3), w2 (4 H2, H1, 3, 3), w3 (4 H3, H2, 3, 3), w4 (2 C, H3, 3, 3) int8;
                b1 (Q, H1), b2 (4 H2,), b3 (4 H3,), b4 (Q, 2 C) int32. Other keys are ignored.
            file: name for the error.

        Raises:
            BundleCorrupt: a key is missing, a dtype or shape is wrong, or a sum could reach 2^24.
        """
        self._file = file
        layers = [_take(weights, f"w{n}", np.int8, 4, file).astype(np.int64) for n in (1, 2, 3, 4)]
        biases = [
            _take(weights, f"b{n}", np.int32, rank, file).astype(np.int64)
            for n, rank in ((1, 2), (2, 1), (3, 1), (4, 2))
        ]
        self._check_shapes(layers, biases)
        self.hyper_channels = int(layers[0].shape[1])
        self.latent_channels = int(layers[3].shape[0]) // 2
        self.qualities = int(biases[0].shape[0])
        for index, (layer, bias) in enumerate(zip(layers, biases, strict=True)):
            largest_input = Z_LIMIT if index == 0 else _ACTIVATION_MAX
            reach = np.abs(layer).sum(axis=(1, 2, 3)) * largest_input + np.abs(bias)
            largest = int(reach.max()) + 64  # the rounding offset before the shift
            if largest >= SUM_LIMIT:
                raise BundleCorrupt(file, f"layer {index + 1} can sum to {largest}, limit {SUM_LIMIT}")
        # (9 I, O), rows in the order of a window's memory: dy, dx, channel.
        self._matrices = [
            np.ascontiguousarray(layer.transpose(2, 3, 1, 0).reshape(-1, layer.shape[0]), dtype=np.float64)
            for layer in layers
        ]
        self._biases = biases

    def run(self, z: IntArray, quality: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Compute the tables' indices for every latent.

        Args:
            z: (Z, h, w) integers in [-127, 127].
            quality: 0 .. Q-1.

        Returns:
            mean_q (C, 4h, 4w) int32 in sixteenths, scale_index (C, 4h, 4w) uint8 in [0, 63].

        Raises:
            ValueError: z has another shape or range, or there is no such quality.
        """
        if z.ndim != 3 or z.shape[0] != self.hyper_channels or z.size == 0:
            raise ValueError(f"z of shape {z.shape} does not have {self.hyper_channels} channels")
        if int(z.min()) < -Z_LIMIT or int(z.max()) > Z_LIMIT or not 0 <= quality < self.qualities:
            raise ValueError(f"z beyond {Z_LIMIT}, or quality {quality} not in 0..{self.qualities - 1}")
        a = self._layer(z.transpose(1, 2, 0), 0, self._biases[0][quality], shift=2)
        a = _pixel_shuffle(self._layer(a, 1, self._biases[1], shift=6))
        a = _pixel_shuffle(self._layer(a, 2, self._biases[2], shift=6))
        acc = self._convolve(a, 3, self._biases[3][quality]).transpose(2, 0, 1)
        channels = self.latent_channels
        mean_q = np.ascontiguousarray((acc[:channels] + 32) >> 6, dtype=np.int32)
        scale_index = np.clip((acc[channels:] + 64) >> 7, 0, SCALE_INDICES - 1)
        return mean_q, np.ascontiguousarray(scale_index, dtype=np.uint8)

    def _layer(self, a: IntArray, index: int, bias: IntArray, shift: int) -> NDArray[np.int32]:
        """Convolve, then round, shift and clip to 0..255."""
        acc = self._convolve(a, index, bias)
        return ((acc + (1 << (shift - 1))) >> shift).clip(0, _ACTIVATION_MAX)

    def _convolve(self, a: IntArray, index: int, bias: IntArray) -> NDArray[np.int32]:
        """Return the exact 3x3 convolution with zero padding 1: (h, w, I) to (h, w, O) int32."""
        matrix = self._matrices[index]
        taps, channels_out = matrix.shape
        height, width, channels = a.shape
        padded = np.zeros((height + 2, width + 2, channels), dtype=np.float64)
        padded[1:-1, 1:-1] = a
        out = np.empty((height, width, channels_out), dtype=np.int32)
        band = max(1, _BAND_POSITIONS // width)
        chunk = max(1, _PRODUCT_MACS // (taps * channels_out))
        for top in range(0, height, band):
            bottom = min(height, top + band)
            positions = (bottom - top) * width
            chunks = -(-positions // chunk)
            columns = np.zeros((chunks * chunk, taps), dtype=np.float64)
            windows = sliding_window_view(padded[top : bottom + 2], (3, 3), axis=(0, 1)).transpose(
                0, 1, 3, 4, 2
            )
            columns[:positions].reshape(windows.shape)[...] = windows
            sums = columns.reshape(chunks, chunk, taps) @ matrix  # exact, see the top of the file
            out[top:bottom] = sums.reshape(-1, channels_out)[:positions].reshape(bottom - top, width, -1)
        out += bias.astype(np.int32)
        return out

    def _check_shapes(self, layers: list[NDArray[np.int64]], biases: list[NDArray[np.int64]]) -> None:
        """Check that the layers fit one another."""
        (o1, _), (o2, i2), (o3, i3), (o4, i4) = (layer.shape[:2] for layer in layers)
        if any(layer.shape[2:] != (3, 3) or 0 in layer.shape for layer in layers):
            raise BundleCorrupt(self._file, "hyper decoder layers must be 3x3 and not empty")
        if o2 % 4 or o3 % 4 or o4 % 2 or (i2, i3, i4) != (o1, o2 // 4, o3 // 4):
            raise BundleCorrupt(self._file, f"hyper decoder layers do not fit: {[x.shape for x in layers]}")
        b1, b2, b3, b4 = (bias.shape for bias in biases)
        if b1[0] < 1 or b1[1:] != (o1,) or b2 != (o2,) or b3 != (o3,) or b4 != (b1[0], o4):
            raise BundleCorrupt(self._file, f"hyper decoder biases do not fit: {[x.shape for x in biases]}")


def _take(
    weights: Mapping[str, NDArray[np.generic]], key: str, dtype: type[np.generic], rank: int, file: str
) -> NDArray[np.generic]:
    """Return `weights[key]` after checking its dtype and number of dimensions."""
    if key not in weights:
        raise BundleCorrupt(file, f"array {key!r} is missing")
    array = weights[key]
    if array.dtype != dtype or array.ndim != rank:
        wanted = f"{np.dtype(dtype)} with {rank} dimensions"
        raise BundleCorrupt(file, f"array {key!r} is {array.dtype} of shape {array.shape}, not {wanted}")
    return array


def _pixel_shuffle(a: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rearrange (h, w, 4 C) to (2h, 2w, C): channel 4 c + 2 dy + dx goes to the pixel at (dy, dx)."""
    height, width, channels = a.shape[0], a.shape[1], a.shape[2] // 4
    blocks = a.reshape(height, width, channels, 2, 2).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(2 * height, 2 * width, channels)
