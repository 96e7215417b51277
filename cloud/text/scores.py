"""Precision and recall of tags, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

from .vocabulary import OBJECTS, Tags

SURE = 0.5
"""From this presence on a word is said."""


def score_tags(said: Sequence[Tags], true: Sequence[Tags]) -> dict[str, Any]:
    """Compare tags with the truth.

    Returns:
        "pictures", and twice ("thirds": is the word in that third; "anywhere": is it in the picture) the precision,
        recall and F1 of all words together ("all") and of each word, with "support", how often it is truly there.
        A ratio of nothing (a word never said, or never true) is null.

    Raises:
        InputError: no pictures, or not as many answers as truths.
    """
    if not said or len(said) != len(true):
        raise InputError(f"cannot score {len(said)} answers against {len(true)} truths")
    s, t = _stack(said), _stack(true)
    return {
        "pictures": len(said),
        "thirds": _table(s, t),
        "anywhere": _table(np.asarray(s.any(2)), np.asarray(t.any(2))),
    }


def _stack(tags: Sequence[Tags]) -> NDArray[np.bool_]:
    return np.asarray(np.stack([t.presence for t in tags]) >= SURE, dtype=np.bool_)


def _table(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, Any]:
    words = {name: _ratios(said[:, i], true[:, i]) for i, name in enumerate(OBJECTS)}
    return {"all": _ratios(said, true), "words": words}


def _ratios(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, Any]:
    hits, said_count, support = int((said & true).sum()), int(said.sum()), int(true.sum())
    return {
        "precision": round(hits / said_count, 4) if said_count else None,
        "recall": round(hits / support, 4) if support else None,
        "f1": round(2 * hits / (said_count + support), 4) if said_count + support else None,
        "support": support,
    }
