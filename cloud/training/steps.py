"""Fit a refinement's tables: which luma coefficients to send, how coarsely, and with which probabilities.

A coefficient is worth sending where the decoder's guess of it is poor. For each frequency, each step is tried on
pairs of (what it was, what the decoder guessed): the bits it costs against the squared error it takes away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud.models.refiner import MARGIN
from common.entropy.refinement import DEAD_ZONE, FEATURES, ORDER, UNIT, Known, RefinementCodec
from common.entropy.tables import quantise_pmf
from common.luma import BLOCK

STEPS = tuple(round(UNIT * 0.2 * 2 ** (i / 2)) for i in range(11))
"""Tried for each frequency: 0.2 to 6.4 of the luma range."""
_RIDGE = 1e-3
_SCALE = 1 << 16
_MAX_LEVEL = 9
_CLASSES = 24
_SKIP_BELOW = 0.003
"""Blocks in which a nonzero level is rarer than this are not coded."""


class Example(NamedTuple):
    """One picture: coefficients as they were and as guessed, (h, w, 16, 16) float32; y16 (C, h, w) int64."""

    true: NDArray[np.float32]
    guess: NDArray[np.float32]
    y16: NDArray[np.int64]


def entropy(levels: NDArray[np.integer]) -> float:
    """Return the bits a level takes in the mean."""
    counts = np.unique(levels, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def moved(
    x: NDArray[np.float64], guess: NDArray[np.float64], step: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the levels of `x` and what the decoder makes of `guess` with them; both relative to the prediction."""
    k = (np.sign(x) * np.floor(np.abs(x) / step + 1 - DEAD_ZONE)).astype(np.int64)
    low = np.where(k > 0, k - 1 + DEAD_ZONE, np.where(k < 0, k - DEAD_ZONE, -DEAD_ZONE)) * step
    high = np.where(k > 0, k + DEAD_ZONE, np.where(k < 0, k + 1 - DEAD_ZONE, DEAD_ZONE)) * step
    inside = np.clip(guess, low + MARGIN * step, high - MARGIN * step)
    return k, np.where((guess < low) | (guess > high), inside, guess)


def choose_steps(examples: list[Example], dc: NDArray[np.int64], price: float) -> NDArray[np.int32]:
    """Return the steps (16, 16) int32 in UNITs, 0 for what is not worth its bits.

    Args:
        examples: pictures.
        dc: the prediction of the first coefficient (`fit_dc`).
        price: squared error, as a share of the luma range squared and summed over a picture, that a bit must save.
    """
    true = np.concatenate([e.true.reshape(-1, BLOCK, BLOCK) for e in examples]).astype(np.float64)
    guess = np.concatenate([e.guess.reshape(-1, BLOCK, BLOCK) for e in examples]).astype(np.float64)
    mean = np.concatenate([predict_dc(e.y16, dc).ravel() for e in examples]).astype(np.float64) / UNIT
    chosen = np.zeros((BLOCK, BLOCK), np.int32)
    for v, u in ORDER:
        offset = mean if (v, u) == (0, 0) else 0.0
        x, g = true[:, v, u] - offset, guess[:, v, u] - offset
        before = float(np.square(x - g).mean())
        # The mean is always sent, at the step that is least bad.
        best = -math.inf if (v, u) == (0, 0) else 0.0
        for step in STEPS:
            k, after = moved(x, g, step / UNIT)
            gain = before - float(np.square(x - after).mean()) - price * entropy(k)
            if gain > best:
                best, chosen[v, u] = gain, step
    return chosen


def neighbourhood(y16: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (h * w, 9 * C) of latents (C, h, w), in the order of `refine_dc`."""
    rows, columns = y16.shape[1:]
    padded = np.pad(y16, ((0, 0), (1, 1), (1, 1)), mode="edge")
    parts = [padded[:, dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3)]
    return np.asarray(np.concatenate(parts).reshape(-1, rows * columns).T)


def fit_dc(examples: list[Example]) -> NDArray[np.int64]:
    """Return (9 * C + 1,) integers that predict a block's first coefficient from the latents around it."""
    x = np.concatenate([neighbourhood(e.y16) for e in examples]).astype(np.float64) / 16
    target = np.concatenate([e.true[:, :, 0, 0].ravel() for e in examples]).astype(np.float64)
    x1 = np.concatenate([x, np.ones((len(x), 1))], 1)
    square = x1.T @ x1 + _RIDGE * len(x1) * np.diag([1.0] * x.shape[1] + [0.0])
    weights: NDArray[np.float64] = np.linalg.solve(square, x1.T @ target)
    weights[:-1] /= 16
    return np.asarray(np.rint(weights * UNIT * (1 << 12)), np.int64)


def predict_dc(y16: NDArray[np.int64], dc: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the prediction (h, w) in UNITs, not yet rounded to a step."""
    total = neighbourhood(y16) @ dc[:-1] + dc[-1] + (1 << 11)
    return np.asarray((total >> 12).reshape(y16.shape[1:]), np.int64)


def fit_arrays(
    examples: list[list[Example]], prices: dict[int, float], latents: list[int]
) -> dict[str, NDArray[np.int32]]:
    """Return a bundle's refinement arrays (proto/BITSTREAM.md, section 5.1).

    Args:
        examples: for each refined quality, in rising order, pictures decoded from the latents it uses.
        prices: for each refined quality, what a bit must save; see `choose_steps`.
        latents: for every quality of the bundle, the quality whose latents it uses.
    """
    qualities = sorted(prices)
    dc = fit_dc([one for group in examples for one in group])
    row = np.full(len(latents), -1, np.int32)
    row[qualities] = np.arange(len(qualities))
    arrays = {
        "refine_latents": np.array(latents, np.int32),
        "refine_row": row,
        "refine_step": np.stack(
            [choose_steps(g, dc, prices[q]) for g, q in zip(examples, qualities, strict=True)]
        ),
        "refine_dc": dc.astype(np.int32),
        "refine_weight": np.zeros((len(qualities), BLOCK * BLOCK, FEATURES), np.int32),
        "refine_bias": np.zeros((len(qualities), BLOCK * BLOCK), np.int32),
        "refine_edges": np.rint(np.geomspace(_SKIP_BELOW, 3.0, _CLASSES) * _SCALE).astype(np.int32),
        "refine_cdf": np.zeros((_CLASSES + 1, 2 * _MAX_LEVEL + 3), np.int32),
        "refine_skip": np.array([0], np.int32),
    }
    arrays["refine_cdf"][:] = quantise_pmf(np.ones((_CLASSES + 1, 2 * _MAX_LEVEL + 2)))
    quantiser = RefinementCodec(arrays, examples[0][0].y16.shape[0], len(latents), "fit")
    scores, values = [], []
    for group, quality in zip(examples, qualities, strict=True):
        drawn = [quantiser.quantise(e.true, quality, e.y16).levels for e in group]
        for at, features, levels in _waves(drawn, arrays["refine_step"][row[quality]]):
            weights, bias = _fit_context(features, np.abs(levels))
            index = at[0] * BLOCK + at[1]
            arrays["refine_weight"][row[quality], index] = weights
            arrays["refine_bias"][row[quality], index] = bias
            scores.append(features @ weights.astype(np.int64) + bias)
            values.append(levels)
    classes = np.searchsorted(arrays["refine_edges"], np.concatenate(scores), side="right")
    arrays["refine_cdf"] = _tables(classes, np.concatenate(values))
    return arrays


def _waves(
    drawn: list[NDArray[np.int32]], steps: NDArray[np.int32]
) -> Iterator[tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int32]]]:
    """Yield (frequency, features (N, 5), levels (N,)) over all pictures."""
    known = [Known(*levels.shape[:2]) for levels in drawn]
    for at in ORDER:
        if steps[at] == 0:
            continue
        features = np.concatenate([one.features(at).reshape(-1, FEATURES) for one in known])
        yield at, features, np.concatenate([levels[:, :, at[0], at[1]].ravel() for levels in drawn])
        for one, levels in zip(known, drawn, strict=True):
            one.add(at, levels[:, :, at[0], at[1]])


def _fit_context(
    features: NDArray[np.int64], magnitude: NDArray[np.integer]
) -> tuple[NDArray[np.int32], int]:
    """Return weights (5,) and a bias, in 1/65536, that predict the magnitude; none below zero but the bias."""
    x = np.concatenate([features, np.ones((len(features), 1))], 1).astype(np.float64)
    keep = np.ones(x.shape[1], bool)
    weights = np.zeros(x.shape[1])
    while True:  # a feature with a negative weight is left out: more around must never mean less here
        part = x[:, keep]
        square = part.T @ part + _RIDGE * len(part) * np.eye(part.shape[1]) * 0.1
        weights[:] = 0
        weights[keep] = np.linalg.solve(square, part.T @ magnitude)
        wrong = keep & (weights < 0)
        wrong[-1] = False
        if not wrong.any():
            break
        keep &= ~wrong
    whole = np.rint(weights * _SCALE).astype(np.int32)
    return whole[:-1], int(whole[-1])


def _tables(classes: NDArray[np.intp], values: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return tables (25, 2 * 9 + 3): counts of each class, the same for both signs, over a thin exponential floor."""
    symbols = 2 * _MAX_LEVEL + 2
    counts = np.zeros((_CLASSES + 1, symbols))
    place = np.where(np.abs(values) <= _MAX_LEVEL, values + _MAX_LEVEL, symbols - 1)
    np.add.at(counts, (classes, place), 1.0)
    inside = counts[:, :-1]
    counts[:, :-1] = (inside + inside[:, ::-1]) / 2
    magnitude = np.abs(np.arange(-_MAX_LEVEL, _MAX_LEVEL + 1))
    floor = np.append(0.3 ** magnitude.astype(np.float64), 0.3**_MAX_LEVEL)
    return quantise_pmf(counts + 2 * floor / floor.sum())
