from __future__ import annotations

from common.synthetic import labels


def test_numbers_are_the_cityscapes_train_ids() -> None:
    assert len(labels.NAMES) == 19
    for name in (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "car",
    ):
        assert labels.NAMES[getattr(labels, name.upper())] == name
    assert labels.NAMES[labels.LIGHT] == "traffic light" and labels.NAMES[labels.SIGN] == "traffic sign"
    assert labels.NAMES[labels.TRUCK] == "truck"
