"""Precision and recall, counted by hand."""

from __future__ import annotations

import pytest

from cloud.text.scores import score_tags
from cloud.text.vocabulary import Tags
from common.errors import InputError


def tags(*captions: str) -> list[Tags]:
    return [Tags.from_caption(c).tags for c in captions]


def test_counts_by_hand() -> None:
    scores = score_tags(tags("car left centre", "car, tree left"), tags("car left right", "car"))
    car, tree = scores["thirds"]["words"]["car"], scores["thirds"]["words"]["tree"]
    assert car == {"precision": 0.8, "recall": 0.8, "f1": 0.8, "support": 5}
    assert tree == {"precision": 0.0, "recall": None, "f1": 0.0, "support": 0}
    assert scores["thirds"]["words"]["road"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert scores["thirds"]["all"] == {"precision": 0.6667, "recall": 0.8, "f1": 0.7273, "support": 5}
    assert scores["anywhere"]["words"]["car"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}
    assert scores["anywhere"]["all"]["precision"] == 0.6667
    assert scores["pictures"] == 2


def test_unequal_or_no_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="cannot score 1 answers against 2"):
        score_tags(tags("car"), tags("car", "car"))
    with pytest.raises(InputError, match="cannot score 0"):
        score_tags([], [])
