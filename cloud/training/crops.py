"""Crops of training pairs, and what may go wrong with a side view in them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from common.resampling import resample

from . import augment
from .data import U8, UNKNOWN, Pair


@dataclass(frozen=True)
class CropShape:
    """A training crop: height and width in pixels, batch size, and the range of scales images are reduced by.

    enlarged: how many times the crop, all that goes wrong with it included, is enlarged after that, as a frame is that
    is coded at double size (common.resampling); height and width are those of the enlarged crop.
    """

    height: int
    width: int
    batch: int
    scale: tuple[float, float]
    enlarged: int = 1


@dataclass
class Sample:
    """One crop: main, side (h, w, 3) uint8; disparity (h, w) float32, negative unknown.

    present: is there a side view; labels: the side view's label map (h', w') uint8, None unknown; lossy: the side view
    went through a lossy codec.
    """

    main: U8
    side: U8
    disparity: NDArray[np.float32]
    present: bool
    labels: U8 | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with the side view, as probabilities: none at all, JPEG-coded, stale, another scene's.

    `tint` is how far exposure may drift: gains and offsets in [-tint, tint] of both views alike, a third of
    it between them. `colour` is how far the channels of both may be mixed, half of the time; `paste` how likely things
    are pasted into both (cloud.training.augment). `near`: how likely a crop is, of four places drawn, the one with the
    largest disparities, and what is pasted into it may stand four times as far in front: what a rig is about to pass.
    """

    drop: float = 0.0
    lossy: float = 0.0
    stale: float = 0.0
    wrong: float = 0.0
    tint: float = 0.0
    colour: float = 0.0
    paste: float = 0.0
    near: float = 0.0


def _lossy(image: U8, rng: random.Random) -> U8:
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, rng.choice((10, 20, 35, 50, 70, 90))])
    assert ok
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _tint(image: U8, gain: tuple[float, float, float], offset: float) -> U8:
    levels = np.arange(256, dtype=np.float32)[:, None] * np.asarray(gain, np.float32) + offset
    table = levels.clip(0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[:, None]), np.uint8)


def cut(
    pair: Pair, shape: CropShape, rng: random.Random, trouble: Trouble, stranger: Pair | None = None
) -> Sample:
    """Cut one crop: random scale and place, half the time mirrored and swapped (disparity keeps its sign).

    stranger: the pair whose side view is taken when the draw says "wrong".
    """
    times, size = shape.enlarged, (shape.height, shape.width)
    if times == 1:
        return _cut(pair, shape, rng, trouble, stranger)
    small = _cut(
        pair, replace(shape, height=size[0] // times, width=size[1] // times), rng, trouble, stranger
    )
    near = cv2.resize(small.disparity, size[::-1], interpolation=cv2.INTER_NEAREST)
    disparity = np.where(near >= 0, near * times, UNKNOWN).astype(np.float32)
    return replace(
        small, main=resample(small.main, *size), side=resample(small.side, *size), disparity=disparity
    )


def _cut(pair: Pair, shape: CropShape, rng: random.Random, trouble: Trouble, stranger: Pair | None) -> Sample:
    swap = rng.random() < 0.5
    main, side, disparity, labels = pair.main, pair.side, pair.main_disparity, pair.side_labels
    if pair.past and rng.random() < trouble.stale:
        # A stale view has no rectified geometry: nothing to supervise, the codec must find out by itself.
        old = rng.choice(pair.past)
        if swap:
            main = old.main
        else:
            side, labels = old.side, old.side_labels
        disparity = np.full(disparity.shape, UNKNOWN, np.float16)
        known = False
    else:
        known = True
    if swap:
        labels = pair.main_labels if main is pair.main else None
        main, side = side[:, ::-1], main[:, ::-1]
        disparity = pair.side_disparity[:, ::-1] if known else disparity
        labels = labels[:, ::-1] if labels is not None else None
    height, width = main.shape[:2]
    scale = rng.uniform(*shape.scale)
    scale = max(scale, shape.height / height, shape.width / width)
    ch, cw = min(height, round(shape.height / scale)), min(width, round(shape.width / scale))
    near = bool(trouble.near) and known and rng.random() < trouble.near
    window = _window(disparity, ch, cw, rng, 4 if near else 1)
    top, left = window[0].start, window[1].start
    size = (shape.width, shape.height)

    def small(view: U8, window: tuple[slice, slice]) -> U8:
        return np.asarray(
            cv2.resize(np.ascontiguousarray(view[window]), size, interpolation=cv2.INTER_AREA), np.uint8
        )

    views = [small(main, window), small(side, window)]
    taken = cv2.resize(disparity[window].astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    # A match left of the crop's edge cannot be found in it, nor does it harm: the border is repeated there.
    d = np.where(taken >= 0, taken * (shape.width / cw), UNKNOWN).astype(np.float32)
    if labels is not None:
        rows, columns = labels.shape[0] / height, labels.shape[1] / width
        labels = labels[
            int(top * rows) : int((top + ch) * rows), int(left * columns) : int((left + cw) * columns)
        ]
    if stranger is not None and rng.random() < trouble.wrong:
        h, w = stranger.side.shape[:2]
        y, x = rng.randint(0, max(0, h - ch)), rng.randint(0, max(0, w - cw))
        views[1] = small(stranger.side, (slice(y, y + ch), slice(x, x + cw)))
        d, labels = np.full_like(d, UNKNOWN), None
    views = _new_scene(views, d, stranger, trouble, rng, near)
    if trouble.tint:
        gain, shift = (
            1 + rng.uniform(-trouble.tint, trouble.tint),
            40 * rng.uniform(-trouble.tint, trouble.tint),
        )
        for index in range(2):
            own = [gain * (1 + rng.uniform(-trouble.tint, trouble.tint) / 3) for _ in range(3)]
            views[index] = _tint(views[index], (own[0], own[1], own[2]), shift)
    lossy = rng.random() < trouble.lossy
    if lossy:
        views[1] = _lossy(views[1], rng)
    return Sample(views[0], views[1], d, rng.random() >= trouble.drop, labels, lossy)


def _window(
    disparity: NDArray[np.float16], height: int, width: int, rng: random.Random, places: int
) -> tuple[slice, slice]:
    """Return, of so many places drawn, the one whose hundredth part in front is nearest."""
    drawn = []
    for _ in range(places):
        top = rng.randint(0, disparity.shape[0] - height)
        left = rng.randint(0, disparity.shape[1] - width)
        drawn.append((slice(top, top + height), slice(left, left + width)))
    if places == 1:
        return drawn[0]
    # Every fourth pixel tells as much, and unknown ones are negative: they never are the nearest.
    return max(drawn, key=lambda window: float(np.percentile(disparity[window][::4, ::4], 99)))


def _new_scene(
    views: list[U8],
    disparity: NDArray[np.float32],
    donor: Pair | None,
    trouble: Trouble,
    rng: random.Random,
    near: bool,
) -> list[U8]:
    """Return the views with things pasted in (into the disparity, too) and other colours, as far as asked for."""
    # Only where the views show one moment of one scene: pasted things stand still.
    if trouble.paste and donor is not None and (disparity >= 0).any() and rng.random() < trouble.paste:
        for _ in range(rng.randint(1, 3)):
            augment.paste(views[0], views[1], disparity, donor.main, rng, near)
    if trouble.colour and rng.random() < 0.5:
        views = augment.mix_colours(views, rng, trouble.colour)
    return views
