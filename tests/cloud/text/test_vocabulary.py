"""The vocabulary: found in the data, written as captions, read back from them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.text.vocabulary import (
    CLASSES,
    OBJECTS,
    POSITIONS,
    TRAIN_IDS,
    Tags,
    count_objects,
    shares,
    tags_of_labels,
    thirds,
)
from common.errors import InputError


def row(tags: Tags, name: str) -> list[float]:
    return [float(v) for v in tags.presence[OBJECTS.index(name)]]


def test_fourteen_different_objects() -> None:
    assert len(OBJECTS) == len(set(OBJECTS)) == len(set(TRAIN_IDS)) == 14
    assert all(0 <= i < CLASSES for i in TRAIN_IDS)


@pytest.mark.data
def test_the_objects_are_the_most_frequent_of_the_training_drives(mdic_data: Path) -> None:
    files = sorted((mdic_data / "labels").glob("*/*/*.png"))
    if not files:
        pytest.skip("no label maps under MDIC_DATA/labels")
    held_out = {"seq_c", "pairs_object_b", "pairs_2015c"}
    maps = (
        cv2.imread(str(f), cv2.IMREAD_UNCHANGED)
        for f in files
        if f.relative_to(mdic_data).parts[1] not in held_out
    )
    counts = count_objects(maps)
    others = [i for i in range(CLASSES) if i not in TRAIN_IDS]
    assert counts[list(TRAIN_IDS)].min() > counts[others].max()
    assert (np.diff(counts[list(TRAIN_IDS)]) <= 0).all()


def test_caption_example() -> None:
    tags, ignored = Tags.from_caption("car left, tree right, road")
    assert row(tags, "car") == [1, 0, 0]
    assert row(tags, "tree") == [0, 0, 1]
    assert row(tags, "road") == [1, 1, 1]
    assert tags.presence.sum() == 5
    assert ignored == ()
    assert tags.caption() == "road, tree right, car left"


@given(st.lists(st.booleans(), min_size=42, max_size=42))
def test_captions_round_trip(bits: list[bool]) -> None:
    tags = Tags(np.array(bits, np.float32).reshape(14, 3))
    again, ignored = Tags.from_caption(tags.caption())
    assert np.array_equal(again.presence, tags.presence)
    assert ignored == ()


def test_unknown_words_are_returned() -> None:
    tags, ignored = Tags.from_caption("A purple elephant on the left, and CARS right!")
    assert ignored == ("purple", "elephant")
    assert row(tags, "car") == [0, 0, 1]


def test_places_of_a_list() -> None:
    tags, _ = Tags.from_caption("a street with two cars on the left and ahead, trees, a traffic light right")
    assert row(tags, "car") == [1, 1, 0]
    assert row(tags, "light") == [0, 0, 1]
    assert row(tags, "sign") == [0, 0, 0]
    assert row(tags, "road") == row(tags, "tree") == [1, 1, 1]


def test_a_place_without_any_object_says_nothing() -> None:
    assert Tags.from_caption("left").tags.presence.sum() == 0
    assert Tags.from_caption("").tags.presence.sum() == 0


@given(st.text(max_size=200))
def test_any_text_is_a_caption(text: str) -> None:
    tags, _ = Tags.from_caption(text)
    assert set(np.unique(tags.presence)) <= {0.0, 1.0}


@pytest.mark.parametrize("nonsense", [None, 3, b"car", ["car"], np.zeros(3)])
def test_what_is_not_text_is_refused(nonsense: object) -> None:
    with pytest.raises(InputError, match="caption must be a string"):
        Tags.from_caption(nonsense)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "presence",
    [
        np.zeros((3, 14)),
        np.full((14, 3), 2.0),
        np.full((14, 3), np.nan),
        "car",
        None,
        [[0.0] * 3] * 13 + [[0.0]],
    ],
)
def test_what_is_not_presence_is_refused(presence: object) -> None:
    with pytest.raises(InputError, match="tags must"):
        Tags(presence)  # type: ignore[arg-type]


def test_tags_own_their_values() -> None:
    given_array = np.zeros((14, 3), np.float32)
    tags = Tags(given_array)
    given_array[0, 0] = 1
    assert tags.presence[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        tags.presence[0, 0] = 1


def test_caption_threshold() -> None:
    presence = Tags.none().presence.copy()
    presence[OBJECTS.index("car"), POSITIONS.index("centre")] = 0.4
    assert Tags(presence).caption() == ""
    assert Tags(presence).caption(0.3) == "car centre"


@pytest.mark.parametrize("width", [3, 4, 5, 64, 208, 1242])
def test_thirds_cover_the_width(width: int) -> None:
    a, b, c = thirds(width)
    assert (a.start, a.stop, b.stop, c.stop) == (0, b.start, c.start, width)
    sizes = [s.stop - s.start for s in (a, b, c)]
    assert max(sizes) - min(sizes) <= 1


def test_tags_of_labels_counts_each_third() -> None:
    labels = np.full((60, 90), 255, np.uint8)
    labels[:, 30:60] = 0
    labels[0, :3] = 13  # 3 of 1800 pixels: below 2 in 1000
    labels[0, 60:64] = 13  # 4 of 1800: above
    tags = tags_of_labels(labels)
    assert row(tags, "road") == [0, 1, 0]
    assert row(tags, "car") == [0, 0, 1]
    assert shares(labels)[0].tolist() == [0.0, 1.0, 0.0]
    assert count_objects([labels, labels])[[0, 13, 8]].tolist() == [2, 2, 0]


@pytest.mark.parametrize("labels", [np.zeros((4, 4)), np.zeros(9, np.uint8), np.zeros((4, 2), np.uint8)])
def test_what_is_not_a_label_map_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="label map"):
        shares(labels)
