from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.datasets import Concatenation, Pair, PairDataset, open_dataset

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def pair_files(make_pairs: Callable[..., Path]) -> tuple[Path, Path]:
    root = make_pairs("left", "right", ["0"])
    return root / "left/0.png", root / "right/0.png"


def test_indices_slices_and_bounds(make_pairs: Callable[..., Path]) -> None:
    dataset = open_dataset(make_pairs("left", "right", ["0", "1", "2"]))
    assert dataset[-1].seq == 2 and [f.seq for f in dataset[1:]] == [1, 2]
    for index in (3, -4):
        with pytest.raises(IndexError, match="of 3"):
            dataset[index]
    assert dataset.files(1)[0].name == "1.png" and dataset.files(1)[1].parent.name == "right"


def test_parts_follow_one_another_in_time(pair_files: tuple[Path, Path]) -> None:
    def part(*times_ns: int) -> PairDataset:
        return PairDataset("part", [Pair(*pair_files, t) for t in times_ns], 10.0)

    close, early, far = part(5_000, 6_000), part(10, 20), part(10**19)
    whole = Concatenation("whole", [part(1_000, 2_000), close, early, far])
    frame_ns = 100_000_000
    expected = [1_000, 2_000, 5_000, 6_000, 6_000 + frame_ns, 6_010 + frame_ns, 6_010 + 2 * frame_ns]
    assert [frame.capture_ns for frame in whole] == expected
    assert [frame.seq for frame in whole] == list(range(7))
    assert far[0].capture_ns - HOUR_NS > expected[-2]
    assert whole.files(6) == pair_files
