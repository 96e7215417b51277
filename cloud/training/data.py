"""Training pairs in memory, with teacher disparities."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.errors import DatasetError

U8 = NDArray[np.uint8]
UNKNOWN = -1.0
PAST = 5
"""Frames of a sequence that a stale side view can lag behind."""
_MANY = 8
"""Streets from which on processes of their own render them."""


@dataclass
class Pair:
    """One training pair: main, side (H, W, 3) uint8 RGB; disparities (H, W) float16 of each view, -1 unknown.

    `past` are up to `PAST` earlier pairs of the same sequence, latest first. Label maps (h, w) uint8 name the
    object at each pixel, at any resolution (`cloud.text.vocabulary`), where a teacher's are at hand.
    """

    main: U8
    side: U8
    main_disparity: NDArray[np.float16]
    side_disparity: NDArray[np.float16]
    grey: bool = False
    past: tuple[Pair, ...] = ()
    main_labels: U8 | None = None
    side_labels: U8 | None = None


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


def make_pair(main: U8, side: U8, grey: bool = False) -> Pair:
    """Return a pair with teacher disparities of both views (the side's in its mirrored, swapped role)."""
    forward = teacher_disparity(main, side)
    backward = teacher_disparity(np.ascontiguousarray(side[:, ::-1]), np.ascontiguousarray(main[:, ::-1]))[
        :, ::-1
    ]
    return Pair(main, side, forward, np.ascontiguousarray(backward), grey)


def _read(file: Path) -> U8:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(str(file), "this image does not decode, or has no partner")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _remember(pair: Pair, file: Path, **images: U8) -> None:
    temporary = file.with_suffix(".partial.npz")
    np.savez_compressed(temporary, main=pair.main_disparity, side=pair.side_disparity, **images)  # type: ignore[arg-type]
    temporary.replace(file)


def _labels(labels: Path | None, scene: str, view: str, stem: str) -> U8 | None:
    file = labels / scene / view / f"{stem}.png" if labels is not None else None
    if file is None or not file.is_file():
        return None
    found = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if found is None:
        raise DatasetError(str(file), "this label map does not decode")
    return np.asarray(found, np.uint8)


def _chain(pair: Pair, before: Pair | None) -> None:
    """Hang a sequence's earlier pairs on this one, if they have its size."""
    if before is not None and before.main.shape == pair.main.shape:
        pair.past = (before, *before.past)[:PAST]


def load_folder(
    folder: Path,
    cache: Path | None = None,
    progress: bool = True,
    labels: Path | None = None,
    leave_out: Collection[str] = (),
) -> list[Pair]:
    """Read every `NAME/{left,right}/*` below `folder` with teacher disparities, kept in `cache` for the next run.

    Args:
        folder: of scenes; those named `seq_*` hold consecutive frames, `grey_*` grey-scale ones.
        cache: where disparities are kept.
        progress: show a bar.
        labels: folder of label maps `NAME/{left,right}/*.png`.
        leave_out: names of scenes (drives) kept for validation.

    Raises:
        DatasetError: if nothing is found or an image does not decode.
    """
    scenes = sorted(
        p
        for p in folder.iterdir()
        if (p / "left").is_dir() and (p / "right").is_dir() and p.name not in leave_out
    )
    files = [(scene, file) for scene in scenes for file in sorted((scene / "left").iterdir())]
    if not files:
        raise DatasetError(str(folder), "no NAME/left and NAME/right folders in it")
    pairs: list[Pair] = []
    last: tuple[Path, Pair] | None = None
    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # OpenCV and the decoders of images let go of the interpreter
        made = pool.map(lambda at: _load(at[0], at[1], cache, labels), files)
        for (scene, _), pair in zip(
            files, tqdm(made, "reading pairs", len(files), disable=not progress), strict=True
        ):
            if scene.name.startswith("seq_"):
                _chain(pair, last[1] if last is not None and last[0] == scene else None)
            pairs.append(pair)
            last = (scene, pair)
    return pairs


def _load(scene: Path, file: Path, cache: Path | None, labels: Path | None) -> Pair:
    """Return the pair of a left view's file, with its disparities from the cache where they are there."""
    main, side = _read(file), _read(scene / "right" / file.name)
    grey = scene.name.startswith("grey_")
    kept = cache / f"{scene.name}-{file.stem}.npz" if cache is not None else None
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as known:
            pair = Pair(main, side, known["main"], known["side"], grey)
    else:
        pair = make_pair(main, side, grey)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            _remember(pair, kept)
    pair.main_labels = _labels(labels, scene.name, "left", file.stem)
    pair.side_labels = _labels(labels, scene.name, "right", file.stem)
    return pair


def synthetic_pairs(
    count: int, cache: Path | None = None, height: int = 320, width: int = 1024, frames_per_street: int = 4
) -> list[Pair]:
    """Render `count` pairs of synthetic streets with exact main-view disparity, kept in `cache` for the next run."""
    places = [divmod(index, frames_per_street) for index in range(count)]
    jobs = [(cache, seed, frame, height, width) for seed, frame in places]
    pairs: list[Pair] = []
    with ExitStack() as stack:
        made: Iterable[Pair] = map(_street, jobs)
        if count >= _MANY:
            made = stack.enter_context(ProcessPoolExecutor(os.cpu_count())).map(_street, jobs)
        for (_, frame), pair in zip(
            places, tqdm(made, "rendering streets", count, disable=None), strict=True
        ):
            if frame:
                _chain(pair, pairs[-1])
            pairs.append(pair)
    return pairs


def _street(job: tuple[Path | None, int, int, int, int]) -> Pair:
    """Return one rendered pair of (cache, seed, frame, height, width)."""
    from common.synthetic import StereoStreet

    cache, seed, frame, height, width = job
    kept = cache / f"street-{seed}-{frame}-{height}x{width}.npz" if cache is not None else None
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as known:
            return Pair(known["left"], known["right"], known["main"], known["side"])
    rendered = StereoStreet(seed + 1000, height=height, width=width).frame(frame * 3)
    pair = make_pair(rendered.main, rendered.side)
    pair.main_disparity = rendered.disparity.astype(np.float16)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        _remember(pair, kept, left=pair.main, right=pair.side)
    return pair
