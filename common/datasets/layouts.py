"""Recognise how stereo images lie on disk and open them.

Known layouts, main view first:
    left/ right/                        plain folders; calib/ or timestamps beside where there are any
    image_02/data image_03/data         KITTI raw drive (or image_00, image_01: grey)
    image_2/ image_3/                   KITTI odometry sequence (times.txt, calib.txt) and stereo 2015
    colored_0/ colored_1/, image_0/ image_1/   KITTI stereo 2012, odometry in grey
A folder above several of these (a date of KITTI raw, `sequences/`, `training/`) opens as all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.datasets.calibration import Calibration, read_calibration
from common.datasets.dataset import Concatenation, Pair, PairDataset, StereoDataset
from common.datasets.images import list_images
from common.datasets.records import find_calibrations, find_oxts
from common.datasets.timestamps import frame_rate, read_timestamps, repair
from common.errors import DatasetError, PairMissing

_MAX_DEPTH = 4
_DEFAULT_FPS = 10.0


@dataclass(frozen=True)
class _Layout:
    main: str
    side: str
    inner: str = ""
    grey: bool = False


_LAYOUTS = (
    _Layout("left", "right"),
    _Layout("image_02", "image_03", "data"),
    _Layout("image_00", "image_01", "data", grey=True),
    _Layout("image_2", "image_3"),
    _Layout("colored_0", "colored_1"),
    _Layout("image_0", "image_1", grey=True),
)


def open_dataset(path: str | Path, fps: float | None = None) -> StereoDataset:
    """Open the stereo images under a folder, whatever known layout they have.

    Args:
        path: A drive, a sequence, a folder of pairs, or a folder of several (read one after the other).
        fps: Frame rate to assume where the files do not tell (10 where not given).

    Raises:
        DatasetError: There is no such folder, or nothing in it that we know.
        PairMissing: One view of a frame is there and the other is not.
    """
    parts = open_datasets(path, fps)
    return parts[0] if len(parts) == 1 else Concatenation(Path(path).resolve().name, parts)


def open_datasets(path: str | Path, fps: float | None = None) -> list[StereoDataset]:
    """Open each dataset at or below a folder on its own, in the order of their paths.

    Raises:
        DatasetError: There is no such folder, or nothing in it that we know.
        PairMissing: One view of a frame is there and the other is not.
    """
    root = Path(path)
    if not root.exists():
        raise DatasetError(root, "no such folder")
    if not root.is_dir():
        raise DatasetError(root, "is a file, not a folder")
    found = _search(root, root, fps or _DEFAULT_FPS, _MAX_DEPTH)
    if not found:
        if not any(root.iterdir()):
            raise DatasetError(root, "the folder is empty")
        known = ", ".join("/".join(filter(None, (f"{{{x.main},{x.side}}}", x.inner))) for x in _LAYOUTS)
        raise DatasetError(
            root, f"no stereo images found; looked for {known}, here and {_MAX_DEPTH} folders down"
        )
    return found


def _search(root: Path, folder: Path, fps: float, depth: int) -> list[StereoDataset]:
    here = _open_here(root, folder, fps)
    if here is not None:
        return [here]
    if depth == 0:
        return []
    try:
        below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DatasetError(folder, error.strerror or str(error)) from error
    return [dataset for child in below for dataset in _search(root, child, fps, depth - 1)]


def _open_here(root: Path, folder: Path, fps: float) -> StereoDataset | None:
    """Open the layout found directly in a folder, or return None."""
    lone: Path | None = None
    for layout in _LAYOUTS:
        main, side = _images(folder / layout.main, layout.inner), _images(folder / layout.side, layout.inner)
        if main is None and side is None:
            continue
        if main is None or side is None:
            lone = lone or folder / (layout.side if main is None else layout.main)
            continue
        if not main and not side:
            raise DatasetError(folder, f"{layout.main} and {layout.side} hold no images")
        _check_pairs(main, side)
        return _make(root, folder, layout, main, side, fps)
    if lone is not None:
        raise PairMissing(lone, f"the other view's folder is not beside it in {folder}")
    return None


def _images(folder: Path, inner: str) -> dict[str, Path] | None:
    """List a view's images, or return None where the folder does not exist."""
    if inner and (folder / inner).is_dir():
        return list_images(folder / inner)
    return list_images(folder) if folder.is_dir() else None


def _check_pairs(main: dict[str, Path], side: dict[str, Path]) -> None:
    for stem in sorted(main.keys() ^ side.keys()):
        if stem in main:
            raise PairMissing(main[stem], "left without right")
        raise PairMissing(side[stem], "right without left")


def _make(
    root: Path, folder: Path, layout: _Layout, main: dict[str, Path], side: dict[str, Path], fps: float
) -> StereoDataset:
    stems = sorted(main)
    lines = _timestamps(folder, layout)
    if len(lines) == len(stems):
        known = lines
    else:
        # Files were dropped (or the list is cut short): a line belongs to the frame of its number.
        numbers = [_number(stem) for stem in stems]
        known = [lines[n] if n is not None and n < len(lines) else None for n in numbers]
    rate = frame_rate(lines, fps)
    oxts = find_oxts(folder)
    pairs = [Pair(main[s], side[s], t, oxts.get(s)) for s, t in zip(stems, repair(known, rate), strict=True)]
    name = folder.resolve().name if folder == root else "/".join(folder.relative_to(root).parts)
    calibration = _calibration(folder, layout, stems[0])
    return PairDataset(name, pairs, rate, calibration, find_calibrations(folder))


def _scene(stem: str) -> str:
    """Return a file name up to its first underscore: "000003" of "000003_10"."""
    return stem.partition("_")[0]


def _number(stem: str) -> int | None:
    """Return the frame number of a file name ("0000000017", "000003_10"), or None."""
    digits = _scene(stem)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _timestamps(folder: Path, layout: _Layout) -> list[int | None]:
    """Read the first list of capture times that is there."""
    for name in (f"{layout.main}/timestamps.txt", "timestamps.txt", "times.txt", "calib/timestamps_left.txt",
                 "timestamps_left.txt", "calib/timestamps.txt"):  # fmt: skip
        if (folder / name).is_file():
            return read_timestamps(folder / name)
    return []


def _calibration(folder: Path, layout: _Layout, first: str) -> Calibration | None:
    """Read the calibration beside the images or, as in KITTI raw, one or two folders above."""
    names = [folder / place / "calib_cam_to_cam.txt" for place in ("", "calib", "..", "../..")]
    names += [folder / "calib.txt", folder / "calib_cam_to_cam" / f"{_scene(first)}.txt"]
    names += [folder / "calib" / f"{_scene(first)}.txt"]
    for path in names:
        found = read_calibration(path, layout.grey)
        if found is not None:
            return found
    return None
