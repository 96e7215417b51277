"""Training pairs in memory, with teacher disparities, and the crops cut from them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.errors import DatasetError

U8 = NDArray[np.uint8]
UNKNOWN = -1.0


@dataclass
class Pair:
    """One training pair: main, side (H, W, 3) uint8 RGB; disparities (H, W) float16 of each view, -1 unknown.

    `previous` is the main view one frame before, where the pair comes from a sequence.
    """

    main: U8
    side: U8
    main_disparity: NDArray[np.float16]
    side_disparity: NDArray[np.float16]
    previous: U8 | None = None
    grey: bool = False


def teacher_disparity(main: U8, side: U8, reach: int = 192) -> NDArray[np.float16]:
    """Return the semi-global-matching disparity (H, W) of the main view, -1 where both directions disagree.

    Images are (H, W, 3) uint8 RGB of a rectified pair, main on the left. `reach` is the largest disparity sought.
    """
    left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (main, side))
    reach = min(reach, left.shape[1] // 2 // 16 * 16)
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=reach,
        blockSize=5,
        P1=8 * 25,
        P2=32 * 25,
        disp12MaxDiff=1,
        uniquenessRatio=5,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    # SGBM leaves the first `reach` columns empty: widen the pair so that they are the margin's.
    padded = [cv2.copyMakeBorder(image, 0, 0, reach, 0, cv2.BORDER_REPLICATE) for image in (left, right)]
    found = matcher.compute(padded[0], padded[1])[:, reach:].astype(np.float32) / 16
    found[found < 0] = UNKNOWN
    # Matches outside the side view come from the replicated margin: not evidence.
    column = np.arange(found.shape[1], dtype=np.float32)[None]
    found[(found > column)] = UNKNOWN
    half: NDArray[np.float16] = found.astype(np.float16)
    return half


def _mirror(image: NDArray[np.generic]) -> NDArray[np.generic]:
    return image[:, ::-1]


def make_pair(main: U8, side: U8, previous: U8 | None = None, grey: bool = False) -> Pair:
    """Return a pair with teacher disparities of both views (the side's in its mirrored, swapped role)."""
    forward = teacher_disparity(main, side)
    backward = teacher_disparity(np.ascontiguousarray(side[:, ::-1]), np.ascontiguousarray(main[:, ::-1]))[
        :, ::-1
    ]
    return Pair(main, side, forward, np.ascontiguousarray(backward), previous, grey)


def _read(file: Path) -> U8:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(str(file), "this image does not decode, or has no partner")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _remember(pair: Pair, file: Path, **images: U8) -> None:
    temporary = file.with_suffix(".partial.npz")
    np.savez_compressed(temporary, main=pair.main_disparity, side=pair.side_disparity, **images)  # type: ignore[arg-type]
    temporary.replace(file)


def load_folder(folder: Path, cache: Path | None = None, progress: bool = True) -> list[Pair]:
    """Read every `NAME/{left,right}/*` below `folder` with teacher disparities, kept in `cache` for the next run.

    Raises:
        DatasetError: if nothing is found or an image does not decode.
    """
    scenes = sorted(p for p in folder.iterdir() if (p / "left").is_dir() and (p / "right").is_dir())
    files = [(scene, file) for scene in scenes for file in sorted((scene / "left").iterdir())]
    if not files:
        raise DatasetError(str(folder), "no NAME/left and NAME/right folders in it")
    pairs: list[Pair] = []
    last: tuple[Path, U8] | None = None
    for scene, file in tqdm(files, desc="reading pairs", disable=not progress):
        main, side = _read(file), _read(scene / "right" / file.name)
        sequence = scene.name.startswith("seq_")
        previous = last[1] if sequence and last is not None and last[0] == scene else None
        if previous is not None and previous.shape != main.shape:
            previous = None
        grey = scene.name.startswith("grey_")
        kept = cache / f"{scene.name}-{file.stem}.npz" if cache is not None else None
        if kept is not None and kept.is_file():
            with np.load(kept, allow_pickle=False) as known:
                pairs.append(Pair(main, side, known["main"], known["side"], previous, grey))
        else:
            pairs.append(make_pair(main, side, previous, grey))
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                _remember(pairs[-1], kept)
        last = (scene, main)
    return pairs


@dataclass(frozen=True)
class CropShape:
    """A training crop: height and width in pixels, batch size, and the range of scales images are reduced by."""

    height: int
    width: int
    batch: int
    scale: tuple[float, float]


@dataclass
class Sample:
    """main, side (h, w, 3) uint8; disparity (h, w) float32, negative unknown; present: is there a side view."""

    main: U8
    side: U8
    disparity: NDArray[np.float32]
    present: bool


def _lossy(image: U8, rng: random.Random) -> U8:
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, rng.choice((20, 35, 50, 70, 90))])
    assert ok
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def cut(pair: Pair, shape: CropShape, rng: random.Random, drop: float, lossy: float, stale: float) -> Sample:
    """Cut one crop: random scale and place, half the time mirrored and swapped (disparity keeps its sign).

    drop, lossy and stale are the probabilities of no side view, a JPEG-coded one, and last frame's main view
    in the side view's place.
    """
    main, side, disparity = pair.main, pair.side, pair.main_disparity
    previous = pair.previous
    if rng.random() < 0.5:
        main, side, disparity = side[:, ::-1], main[:, ::-1], pair.side_disparity[:, ::-1]
        previous = None
    if previous is not None and rng.random() < stale:
        # A stale view has no rectified geometry: nothing to supervise, the codec must find out by itself.
        side, disparity = previous, np.full(disparity.shape, UNKNOWN, np.float16)
    height, width = main.shape[:2]
    scale = rng.uniform(*shape.scale)
    scale = max(scale, shape.height / height, shape.width / width)
    ch, cw = min(height, round(shape.height / scale)), min(width, round(shape.width / scale))
    top, left = rng.randint(0, height - ch), rng.randint(0, width - cw)
    window = (slice(top, top + ch), slice(left, left + cw))
    size = (shape.width, shape.height)
    views = [
        np.asarray(
            cv2.resize(np.ascontiguousarray(view[window]), size, interpolation=cv2.INTER_AREA), np.uint8
        )
        for view in (main, side)
    ]
    near = cv2.resize(disparity[window].astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    d = np.where(near >= 0, near * (shape.width / cw), UNKNOWN).astype(np.float32)
    # A match left of the crop's edge cannot be found in it, nor does it harm: the border is repeated there.
    if rng.random() < lossy:
        views[1] = _lossy(views[1], rng)
    return Sample(views[0], views[1], d, rng.random() >= drop)


def synthetic_pairs(
    count: int, cache: Path | None = None, height: int = 320, width: int = 1024, frames_per_street: int = 4
) -> list[Pair]:
    """Render `count` pairs of synthetic streets with exact main-view disparity, kept in `cache` for the next run."""
    from common.synthetic import StereoStreet

    pairs: list[Pair] = []
    for index in tqdm(range(count), desc="rendering streets", disable=None):
        seed, frame = divmod(index, frames_per_street)
        kept = cache / f"street-{seed}-{frame}-{height}x{width}.npz" if cache is not None else None
        if kept is not None and kept.is_file():
            with np.load(kept, allow_pickle=False) as known:
                pair = Pair(known["left"], known["right"], known["main"], known["side"])
        else:
            rendered = StereoStreet(seed + 1000, height=height, width=width).frame(frame * 3)
            pair = make_pair(rendered.main, rendered.side)
            pair.main_disparity = rendered.disparity.astype(np.float16)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                _remember(pair, kept, left=pair.main, right=pair.side)
        if frame:
            pair.previous = pairs[-1].main
        pairs.append(pair)
    return pairs
