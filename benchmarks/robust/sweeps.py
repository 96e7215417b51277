"""The sweeps: which side views, steps, thresholds and captions each main view is decoded with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.rd.controls import best_shift
from benchmarks.robust.scenes import STALE, Place, Scene, StreetScene, ssim
from benchmarks.robust.sidecodecs import ladder, lossless_bytes
from common.types import RgbImage

STEPS = (1, 2, 4, 5, 10, 20)
"""The seed's Fig. 13, and one step."""
THRESHOLDS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9)
"""The seed's Fig. 16, closer together where something changes."""
WRONG_VIEWS = 5
APART = 20
"""Frames of one sequence nearer than this are stale views of each other, not wrong ones."""
WRONG_CAPTION = "a person on a bicycle on the left, a wall, a fence and a traffic light on the right"
KEYWORDS = ("car", "tree", "building", "person")

UNRESTORED = ("jpeg:50", "hevc:34")
"""Rungs that are decoded once more without the restorer (`--no-restore`)."""

LOSSLESS, NONE, COPIED, SHIFTED = "lossless", "none", "side-copied", "best-shift"


@dataclass(frozen=True, eq=False)
class Condition:
    """Say how one picture comes about.

    Attributes:
        key: its name in files.
        label: its name for readers.
        side: the side view as the decoder has it; None without.
        lossy: the side view went through a lossy codec, and the decoder knows.
        side_bytes: payload of that side view, None where it is not counted.
        steps, threshold, caption: as in `Probe.decode`.
        picture: a control: this picture is judged in place of a decoded one, at `control_bytes`.
        x: where it stands in the sweep's plot.
        extra: what else goes into its row.
    """

    key: str
    label: str
    side: RgbImage | None = None
    side_bytes: int | None = None
    steps: int | None = None
    threshold: float | None = None
    caption: str | None = None
    picture: RgbImage | None = None
    control_bytes: int = 0
    x: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    lossy: bool = False


@dataclass(frozen=True)
class World:
    """Hold what sweeps choose from.

    Attributes:
        places: the main views that are judged.
        scenes: every scene of the data, for side views of elsewhere.
        foreign: main views of another camera and of other scenes than the data.
    """

    places: Sequence[Place]
    scenes: Sequence[Scene]
    foreign: Sequence[Place] = ()


@dataclass(frozen=True)
class Sweep:
    """One experiment.

    Attributes:
        name: for `--only` and files.
        title: for readers.
        make: returns the conditions of one place; none where the place cannot be used.
        axis: label of the plot's horizontal axis; empty: conditions stand side by side.
        log: whether that axis is logarithmic.
        on_foreign: runs on the foreign places.
        references: compared with the sides `lossless` and `none` of the same places.
        every: takes every n-th place only: what is turned is the decoder's own, and moves the pictures alike.
    """

    name: str
    title: str
    make: Callable[[World, Place], list[Condition]]
    axis: str = ""
    log: bool = False
    on_foreign: bool = False
    references: bool = True
    every: int = 1

    def places(self, world: World) -> Sequence[Place]:
        """Return the places it runs on."""
        return (world.foreign if self.on_foreign else world.places)[:: self.every]


def base(world: World, place: Place) -> list[Condition]:
    """Return the references: lossless side view, none, and the controls that cost no bits."""
    del world
    shifted, disparity = best_shift(place.main, place.side)
    size = lossless_bytes(place.side)
    return [
        Condition(LOSSLESS, "side view lossless", place.side, size),
        Condition(NONE, "no side view", None, 0),
        Condition(COPIED, "side view copied", picture=place.side, side_bytes=size),
        Condition(
            SHIFTED, "side view, best shift", picture=shifted, control_bytes=1, side_bytes=size,
            extra={"shift_px": disparity},
        ),
    ]  # fmt: skip


def side(world: World, place: Place) -> list[Condition]:
    """Return the side view after every rung of the lossy codecs, restored; of some also as the codec left it."""
    del world
    found = []
    for rung in ladder():
        picture, size = rung.code(place.side)
        bpp = size * 8 / (picture.shape[0] * picture.shape[1])
        found.append(Condition(rung.key, f"side view {rung.label}", picture, size, x=bpp, lossy=True))
        if rung.key in UNRESTORED:
            found.append(
                Condition(f"{rung.key}:plain", f"side view {rung.label}, not restored", picture, size)
            )
    return found


def stale(world: World, place: Place) -> list[Condition]:
    """Return side views of earlier frames, where all of them are there; all ages see the same main views."""
    del world
    views = [(frames, place.stale(frames)) for frames in STALE]
    if any(view is None for _, view in views):
        return []
    return [
        Condition(
            f"stale:{frames}",
            f"side view {frames} frame{'s' if frames > 1 else ''} old",
            view,
            x=frames,
            extra={"ssim": ssim(place.side, view)},
        )
        for frames, view in views
        if view is not None
    ]


def wrong(world: World, place: Place) -> list[Condition]:
    """Return side views of other places, from the most to the least like the true one (seed, section 7.3)."""
    candidates = sorted(
        ((ssim(place.side, view), label, view) for label, view in _elsewhere(world, place)),
        key=lambda found: (-found[0], found[1]),
    )
    ranks: list[int] = []
    if candidates:
        ranks = np.unique(np.linspace(0, len(candidates) - 1, WRONG_VIEWS).round().astype(int)).tolist()
    return [
        Condition(
            f"wrong:{order}",
            f"side view of elsewhere, likeness rank {order} of {len(ranks)}",
            candidates[rank][2],
            x=candidates[rank][0],
            extra={"ssim": candidates[rank][0], "from": candidates[rank][1]},
        )
        for order, rank in enumerate(ranks, 1)
    ]


def steps(world: World, place: Place) -> list[Condition]:
    """Return the true side view at every step count (seed, Fig. 13)."""
    del world
    return [
        Condition(f"steps:{n}", f"{n} step{'s' if n > 1 else ''}", place.side, steps=n, x=n) for n in STEPS
    ]


def theta(world: World, place: Place) -> list[Condition]:
    """Return the true side view at every threshold of the mask (seed, Fig. 16)."""
    del world
    return [Condition(f"theta:{t}", f"θ = {t}", place.side, threshold=t, x=t) for t in THRESHOLDS]


def captions(world: World, place: Place) -> list[Condition]:
    """Return the true side view with captions: none, single keywords, a wrong one, and true ones where known."""
    texts = [("empty", "empty caption", ""), ("wrong", "wrong caption", WRONG_CAPTION)]
    texts += [(f"keyword:{word}", f"caption “{word}”", word) for word in KEYWORDS]
    own = place.scene.caption(place.index)
    if own is not None:
        others = [p.scene.caption(p.index) for p in world.places if p.scene is not place.scene]
        texts.append(("true", "true caption", own))
        texts += [("other", "caption of another scene", other) for other in others[:1] if other is not None]
    return [
        Condition(f"caption:{key}", label, place.side, caption=text, extra={"caption": text})
        for key, label, text in texts
    ]


def domain(world: World, place: Place) -> list[Condition]:
    """Return the references on scenes and cameras that are not the data's."""
    wide = isinstance(place.scene, StreetScene) and place.scene.wide
    camera, said = ("wide", "wide camera") if wide else ("street", "synthetic street")
    return [
        Condition(
            f"{camera}:{c.key}", f"{said}, {c.label}", c.side, c.side_bytes, picture=c.picture,
            control_bytes=c.control_bytes, extra=c.extra,
        )
        for c in base(world, place)
    ]  # fmt: skip


SWEEPS = {
    sweep.name: sweep
    for sweep in (
        Sweep("base", "References", base, references=False),
        Sweep("side", "Side view through a codec", side, "side view, bits per pixel", log=True),
        Sweep("stale", "Stale side view", stale, "age of the side view, frames"),
        Sweep("wrong", "Side view of elsewhere", wrong, "SSIM with the true side view"),
        Sweep("steps", "Denoising steps", steps, "denoising steps", log=True, every=2),
        Sweep("theta", "Threshold of the mask", theta, "threshold θ", every=2),
        Sweep("captions", "Captions", captions, every=2),
        Sweep("domain", "Another domain and camera", domain, on_foreign=True, references=False),
    )
}


def _elsewhere(world: World, place: Place) -> list[tuple[str, RgbImage]]:
    """Return name and side view of every frame that does not show this place."""
    found = []
    for scene in world.scenes:
        # A street is drawn on demand: of those only the frames that are judged anyway.
        indices = (
            [p.index for p in world.places if p.scene is scene]
            if isinstance(scene, StreetScene)
            else list(range(len(scene)))
        )
        for index in indices:
            same = scene is place.scene
            near = abs(index - place.index) < APART if scene.sequence else index == place.index
            if not (same and near):
                found.append((scene.label(index), scene.pair(index)[1]))
    return found
