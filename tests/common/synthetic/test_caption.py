from __future__ import annotations

import numpy as np

from common.synthetic.caption import describe
from common.synthetic.geometry import Mesh
from common.synthetic.labels import BUILDING, CAR, ROAD, VEGETATION
from common.synthetic.scene import Instance


def thing(kind: str) -> Instance:
    empty = np.zeros((0, 3))
    return Instance(kind, Mesh(empty, empty, empty, empty, np.zeros(0, bool), [], []), 0, 0, 0)


def scene(*boxes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    labels, owners = np.full((100, 200), ROAD, np.uint8), np.full((100, 200), -1, np.int16)
    for number, left, right in boxes:
        labels[40:60, left:right], owners[40:60, left:right] = CAR, number
    return labels, owners


def test_counts_and_places_what_is_seen() -> None:
    labels, owners = scene((0, 0, 20), (1, 30, 50), (2, 95, 110))
    labels[:20, :100], labels[:20, 100:] = VEGETATION, BUILDING
    caption = describe(labels, owners, [thing("car")] * 3)
    assert caption == "a street with two cars on the left, a car ahead, trees and buildings"


def test_says_nothing_about_what_is_hidden_or_tiny() -> None:
    labels, owners = scene((0, 150, 151))
    owners[41:60, 150] = -1
    assert describe(labels, owners, [thing("car"), thing("car")]) == "an empty street"


def test_people_and_crowds() -> None:
    labels, owners = scene(*((n, 120 + 9 * n, 126 + 9 * n) for n in range(8)))
    assert describe(labels, owners, [thing("person")] * 8) == "a street with many people on the right"
