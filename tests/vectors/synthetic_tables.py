"""Make the small set of entropy arrays that the golden vectors are coded with, from integers alone.

They are no trained model: a linear congruential generator fills the hyper decoder, and the tables are
geometric. No floating point is involved, so the arrays come out the same everywhere.
"""

from __future__ import annotations

import numpy as np

QUALITIES, HYPER_CHANNELS, LATENT_CHANNELS, HIDDEN = 8, 2, 4, 8
Z_MAX, Y_MAX, SKIP_INDEX = 7, 7, 10
TOTAL = 65536


class Lcg:
    """Draw integers from the 64-bit generator of Knuth's MMIX."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % bound

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + self.below(high - low + 1)

    def array(self, shape: tuple[int, ...], reach: int, dtype: type) -> np.ndarray:
        """Return integers in [-reach, reach]."""
        count = int(np.prod(shape))
        return np.array([self.between(-reach, reach) for _ in range(count)], dtype=dtype).reshape(shape)

    def geometric(self, ratio: int, limit: int) -> int:
        """Return a signed integer whose magnitude grows with probability ratio / 256 a step, up to limit."""
        magnitude = 0
        while magnitude < limit and self.below(256) < ratio:
            magnitude += 1
        return -magnitude if self.below(2) else magnitude


def geometric_row(ratio: int, maximum: int) -> list[int]:
    """Return one cumulative table: each step away from zero is ratio / 256 as likely as the last."""
    weights = [1 << 24]
    for _ in range(maximum + 1):
        weights.append(weights[-1] * ratio >> 8)
    symbols = [weights[abs(value)] for value in range(-maximum, maximum + 1)] + [2 * weights[maximum + 1]]
    spare = TOTAL - len(symbols)
    freqs = [1 + spare * weight // sum(symbols) for weight in symbols]
    freqs[maximum] += TOTAL - sum(freqs)
    return [sum(freqs[:count]) for count in range(len(freqs) + 1)]


def synthetic_arrays() -> dict[str, np.ndarray]:
    """Return the arrays a bundle's `entropy.safetensors` would hold."""
    lcg = Lcg(20240607)
    q, z, c, h = QUALITIES, HYPER_CHANNELS, LATENT_CHANNELS, HIDDEN
    arrays = {
        "w1": lcg.array((h, z, 3, 3), 60, np.int8),
        "b1": lcg.array((q, h), 300, np.int32),
        "w2": lcg.array((4 * h, h, 3, 3), 40, np.int8),
        "b2": lcg.array((4 * h,), 4000, np.int32),
        "w3": lcg.array((4 * h, h, 3, 3), 40, np.int8),
        "b3": lcg.array((4 * h,), 4000, np.int32),
        "w4": lcg.array((2 * c, h, 3, 3), 20, np.int8),
        "b4": lcg.array((q, 2 * c), 1500, np.int32),
    }
    arrays["z_cdf"] = np.array(
        [[geometric_row(90 + 12 * k + 20 * ch, Z_MAX) for ch in range(z)] for k in range(q)], dtype=np.int32
    )
    arrays["y_cdf"] = np.array([geometric_row(4 * i + 2, Y_MAX) for i in range(64)], dtype=np.int32)
    arrays["skip_index"] = np.array([SKIP_INDEX], dtype=np.int32)
    return arrays


def refined_arrays() -> dict[str, np.ndarray]:
    """Return the same arrays with refinements for qualities 6 and 7."""
    lcg = Lcg(20261123)
    rows, edges = 2, [400, 1500, 4000, 9000, 20000, 50000, 120000]
    steps = np.zeros((rows, 16, 16), np.int32)
    for row in range(rows):
        for v in range(16):
            for u in range(16):
                if v + u < 5 + 4 * row or lcg.below(20) == 0:
                    steps[row, v, u] = lcg.between(60, 3000)
        steps[row, 1, 2] = 0
    weights = np.array([lcg.between(0, 9000) for _ in range(rows * 256 * 5)], np.int32)
    biases = np.array([lcg.between(0, 3000) for _ in range(rows * 256)], np.int32)
    return {
        **synthetic_arrays(),
        "refine_latents": np.array([0, 1, 2, 3, 4, 5, 5, 6], np.int32),
        "refine_row": np.array([-1] * 6 + [0, 1], np.int32),
        "refine_step": steps,
        "refine_dc": np.append(lcg.array((9 * LATENT_CHANNELS,), 900, np.int32), np.int32(4096 * 8000)),
        "refine_weight": weights.reshape(rows, 256, 5),
        "refine_bias": biases.reshape(rows, 256),
        "refine_edges": np.array(edges, np.int32),
        "refine_cdf": np.array([geometric_row(20 + 25 * i, 3) for i in range(len(edges) + 1)], np.int32),
        "refine_skip": np.array([0], np.int32),
    }


def context_arrays() -> dict[str, np.ndarray]:
    """Return the plain arrays with two sets of context tables, no two rows alike."""
    lcg = Lcg(20261129)

    def frequencies(shape: tuple[int, ...], maximum: int) -> np.ndarray:
        drawn = [[lcg.between(1, 9000) for _ in range(2 * maximum + 1)] for _ in range(int(np.prod(shape)))]
        rows = [[*row[:maximum], TOTAL - sum(row), *row[maximum:]] for row in drawn]  # zero has what is left
        return np.array(rows, np.uint16).reshape(*shape, 2 * maximum + 2)

    return {
        **synthetic_arrays(),
        "context_z": frequencies((2, HYPER_CHANNELS), 3),
        "context_y": frequencies((2, LATENT_CHANNELS, 27), 2),
    }


def lit_arrays() -> dict[str, np.ndarray]:
    """Return the refined arrays with an illumination of five waves, fewer of them at the lowest qualities."""
    return {
        **refined_arrays(),
        "light_wave": np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 15, 15], [2, 3, 0]], np.int32),
        "light_step": np.array([41, 300, 1, 65535, 90], np.int32),
        "light_mean": np.array([1600, -7, 0, 65535, -65535], np.int32),
        "light_count": np.array([0, 2, 5, 5, 5, 5, 5, 5], np.int32),
        "light_cdf": np.array([geometric_row(60 + 30 * i, 5) for i in range(5)], np.int32),
    }
