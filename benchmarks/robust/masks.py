"""The mask drawn over the rebuilt frame (seed, Fig. 15), for good, lossy, stale and wrong side views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.sheet import Tile
from benchmarks.rd.sheet import write as write_sheet
from benchmarks.robust.probe import Probe
from benchmarks.robust.scenes import Place
from benchmarks.robust.sidecodecs import ladder
from benchmarks.robust.sweeps import World, wrong
from common.types import RgbImage

PAINTED = (230, 60, 30)
"""Colour laid over what was painted, not seen."""
_STRENGTH = 0.55
LOSSY = "hevc:46"
STALE_FRAMES = 2


def overlay(image: RgbImage, mask: NDArray[np.float32]) -> RgbImage:
    """Return a (H, W, 3) uint8 picture, tinted red where the (H, W) mask in [0, 1] says "not from the side view"."""
    share = (_STRENGTH * (1 - np.clip(mask, 0, 1)))[..., None]
    mixed = image * (1 - share) + np.array(PAINTED) * share
    return np.asarray(np.rint(mixed), np.uint8)


def draw(world: World, places: Sequence[Place], probe: Probe, quality: int, path: Path) -> Path:
    """Write a sheet of the places and return its path.

    Raises:
        MissingDependency: Pillow is not installed.
    """
    return write_sheet(path, {place.name: tiles(world, place, probe, quality) for place in places})


def tiles(world: World, place: Place, probe: Probe, quality: int) -> list[Tile]:
    """Return one place's tiles: source, side view, rebuilt frame, and the masks of five side views."""
    packet = probe.packet(place.main, quality)
    shape = (place.main.shape[0], place.main.shape[1])
    lossy = next(rung for rung in ladder() if rung.key == LOSSY)
    lossy_view, lossy_bytes = lossy.code(place.side)
    elsewhere = wrong(world, place)
    stale = place.stale(STALE_FRAMES)
    exact = probe.decode(packet, shape, place.side)
    cases: list[tuple[str, RgbImage | None]] = [
        (f"side view {lossy.label}, {lossy_bytes} bytes", lossy_view),
        (f"side view {STALE_FRAMES} frames old", stale),
        ("side view of elsewhere, most like it", elsewhere[0].side if elsewhere else None),
        ("side view of elsewhere, least like it", elsewhere[-1].side if elsewhere else None),
    ]
    shown = [
        Tile("source", place.main),
        Tile("side view", place.side),
        Tile(f"rebuilt, q{quality}, {len(packet)} bytes", exact.image),
        Tile(f"mask: {_seen(exact.mask)} (red: painted)", overlay(exact.image, exact.mask)),
    ]
    for caption, view in cases:
        if view is None:
            shown.append(Tile(caption, None))
            continue
        frame = probe.decode(packet, shape, view, lossy=view is lossy_view)
        shown.append(Tile(f"{caption}: {_seen(frame.mask)}", overlay(frame.image, frame.mask)))
    return shown


def _seen(mask: NDArray[np.float32]) -> str:
    return f"{100 * float(mask.mean()):.0f} % from the side view"
