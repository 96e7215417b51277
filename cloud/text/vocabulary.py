"""The words of the textual side information: fourteen objects, three places, and how strongly each is there.

The paper supervises its mask with the N = 14 most frequent objects of its captions (supplement, "text supervision").
Ours are the 14 Cityscapes classes that most views of the training drives show; `count_objects` is how they were found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

OBJECTS = (
    "road", "tree", "car", "sky", "building", "pole", "sidewalk",
    "grass", "sign", "fence", "person", "wall", "light", "bicycle",
)  # fmt: skip
"""In the order of how many training views show them."""

TRAIN_IDS = (0, 8, 13, 10, 2, 5, 1, 9, 7, 4, 11, 3, 6, 18)
"""The Cityscapes train id of each object; "tree" is their vegetation, "grass" their terrain."""

POSITIONS = ("left", "centre", "right")
CLASSES = 19
"""Train ids of a label map are 0 to 18; anything else is background."""

MIN_SHARE = 0.002
"""An object is in a third of the picture when it covers this share of it: 2 in 1000 pixels."""

_OBJECT_SYNONYMS = {
    "road": "street roads streets lane asphalt",
    "tree": "trees vegetation bush bushes hedge hedges plant plants",
    "car": "cars vehicle vehicles automobile van vans",
    "sky": "clouds cloud",
    "building": "buildings house houses facade facades",
    "pole": "poles post posts lamppost pillar",
    "sidewalk": "sidewalks pavement footpath",
    "grass": "terrain lawn meadow field",
    "sign": "signs",
    "fence": "fences railing guardrail",
    "person": "persons people pedestrian pedestrians man men woman women child children",
    "wall": "walls",
    "light": "lights",
    "bicycle": "bicycles bike bikes",
}
_POSITION_SYNONYMS = {
    "left": "",
    "centre": "center middle ahead front",
    "right": "",
}
_WORD_OBJECT = {w: i for i, name in enumerate(OBJECTS) for w in (name, *_OBJECT_SYNONYMS[name].split())} | {
    "traffic": -1
}  # only as "traffic light" and "traffic sign": the next word carries the meaning
_WORD_POSITION = {w: i for i, name in enumerate(POSITIONS) for w in (name, *_POSITION_SYNONYMS[name].split())}
_FILLERS = frozenset(
    {"a", "an", "the", "of", "on", "in", "at", "to", "is", "are", "there", "side"}
    | {"some", "several", "many", "one", "two", "three", "four", "five", "six"}
)


class ParsedCaption(NamedTuple):
    """What a caption says, and the words of it that say nothing to us, in order."""

    tags: Tags
    ignored: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Tags:
    """Hold what a picture shows.

    Attributes:
        presence: (14, 3) float32 in [0, 1]: how surely each of OBJECTS is in each of POSITIONS.
    """

    presence: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check and own the array.

        Raises:
            InputError: not an array of (14, 3) numbers in [0, 1].
        """
        wanted = (len(OBJECTS), len(POSITIONS))
        try:
            values = np.array(self.presence, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"tags must be {wanted[0]}x{wanted[1]} numbers: {error}") from error
        if values.shape != wanted:
            raise InputError(f"tags must have shape {wanted}, not {values.shape}")
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise InputError("tags must be finite and lie in 0 to 1")
        values.flags.writeable = False
        object.__setattr__(self, "presence", values)

    @classmethod
    def none(cls) -> Tags:
        """Return the tags of a picture about which nothing is said."""
        return cls(np.zeros((len(OBJECTS), len(POSITIONS)), np.float32))

    @classmethod
    def from_caption(cls, text: str) -> ParsedCaption:
        """Read a caption such as "car left, tree right, road"; an object without a place is everywhere.

        A place belongs to the objects of its part (between commas, "and" or "with"), or to those before when its part
        has none: "car left and right". Case, plurals and common synonyms are understood.

        Raises:
            InputError: `text` is not a string.
        """
        if not isinstance(text, str):
            raise InputError(f"a caption must be a string, not {type(text).__name__}")
        presence = np.zeros((len(OBJECTS), len(POSITIONS)), np.float32)
        ignored: list[str] = []
        objects: list[int] = []
        for part in re.split(r"[,;.:!?\n]|\b(?:and|with)\b|&", text.lower()):
            words = re.findall(r"\w+", part)
            here = [o for o in (_WORD_OBJECT.get(w) for w in words) if o is not None and o >= 0]
            places = [p for p in (_WORD_POSITION.get(w) for w in words) if p is not None]
            ignored += [
                w for w in words if w not in _WORD_OBJECT and w not in _WORD_POSITION and w not in _FILLERS
            ]
            objects = here or objects
            if here or places:
                presence[np.ix_(objects, places or range(len(POSITIONS)))] = 1
        return ParsedCaption(cls(presence), tuple(ignored))

    def caption(self, threshold: float = 0.5) -> str:
        """Write the tags at or above `threshold` as text that `from_caption` reads back; "" when there are none."""
        parts = []
        for name, row in zip(OBJECTS, self.presence >= threshold, strict=True):
            if row.all():
                parts.append(name)
            elif row.any():
                parts.append(" ".join([name, *(p for p, there in zip(POSITIONS, row, strict=True) if there)]))
        return ", ".join(parts)


def thirds(width: int) -> tuple[slice, slice, slice]:
    """Return the columns of the left, centre and right third of a picture."""
    a, b = round(width / 3), round(2 * width / 3)
    return slice(0, a), slice(a, b), slice(b, width)


def shares(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return (19, 3): the share of each third of a label map (H, W) of train ids that each class covers.

    Raises:
        InputError: not a two-dimensional map of integers at least 3 columns wide.
    """
    if labels.ndim != 2 or labels.shape[1] < 3 or not labels.shape[0] or labels.dtype.kind not in "ui":
        raise InputError(f"a label map must be (H, W) integers, not {labels.dtype} {labels.shape}")
    columns = []
    for third in thirds(labels.shape[1]):
        ids = labels[:, third].ravel()
        known = ids[(ids >= 0) & (ids < CLASSES)]
        columns.append(np.bincount(known, minlength=CLASSES) / ids.size)
    return np.stack(columns, 1)


def tags_of_labels(labels: NDArray[Any], min_share: float = MIN_SHARE) -> Tags:
    """Return the true tags of a label map (H, W) of Cityscapes train ids: 1 where an object has `min_share`."""
    return Tags((shares(labels)[list(TRAIN_IDS)] >= min_share).astype(np.float32))


def count_objects(maps: Iterable[NDArray[Any]], min_share: float = MIN_SHARE) -> NDArray[np.int64]:
    """Return (19,): in how many label maps each class covers `min_share` of at least one third."""
    total = np.zeros(CLASSES, np.int64)
    for labels in maps:
        total += (shares(labels) >= min_share).any(1)
    return total
