"""The restorer: any size, deterministic, its file says what it is; the shipped one repairs what codecs damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cloud.restoration.degrade import AV1_HALF, JPEG, Coding, code
from cloud.restoration.network import (
    FACTS,
    WEIGHTS,
    Restorer,
    load_restorer,
    restore,
    save_restorer,
)
from common.errors import BundleCorrupt, BundleNotFound
from common.synthetic.street import StereoStreet


@pytest.fixture(scope="module")
def shipped() -> Restorer:
    return load_restorer()


def blocking(image: np.ndarray) -> float:
    """Return how much more neighbours differ across the borders of 8x8 blocks than within blocks."""
    steps = np.abs(np.diff(image.astype(float), axis=1)).mean((0, 2))
    border = np.arange(len(steps)) % 8 == 7
    return float(steps[border].mean() - steps[~border].mean())


def dots(change: np.ndarray) -> float:
    """Return by how many levels the places of blocks of 8x8 differ in the mean of a whole change."""
    height, width = change.shape[:2]
    place = change.reshape(height // 8, 8, width // 8, 8, 3).mean((0, 2))
    return float(np.ptp(place - place.mean((0, 1)), axis=(0, 1)).max())


def test_an_untrained_one_changes_nothing() -> None:
    image = torch.rand(2, 3, 32, 40)
    with torch.no_grad():
        torch.testing.assert_close(Restorer()(image), image)


def test_it_guesses_the_damage_and_corrects_in_units_of_it(shipped: Restorer) -> None:
    picture = StereoStreet(8, height=128, width=256).frame(0).side
    guessed, changed = [], []
    for quality in (10, 40, 95):
        coded = code(picture, Coding(JPEG, quality))
        planes = torch.from_numpy(coded).permute(2, 0, 1)[None].float() / 255
        out, damage = shipped(planes), shipped.gauge(planes)
        wanted = np.log2(np.sqrt(np.mean((coded.astype(float) - picture) ** 2)))
        assert abs(float(damage[0]) - wanted) < 1.5  # painted streets are no photographs
        guessed.append(float(damage[0]))
        changed.append(float((out - planes).abs().mean()))
    assert guessed[0] > guessed[1] > guessed[2] and changed[0] > changed[1] > changed[2]


@pytest.mark.parametrize("size", [(64, 64), (65, 127), (131, 202), (1, 1), (7, 90)])
def test_any_size_comes_back_the_same_twice(shipped: Restorer, size: tuple[int, int]) -> None:
    whole = StereoStreet(4, height=max(64, size[0]), width=max(64, size[1])).frame(0).side
    image = code(np.ascontiguousarray(whole[: size[0], : size[1]]), Coding(JPEG, 30))
    found = [restore(shipped, image) for _ in range(2)]
    assert found[0].shape == image.shape and found[0].dtype == np.uint8
    np.testing.assert_array_equal(found[0], found[1])
    assert min(size) < 64 or not np.array_equal(found[0], image)


def test_the_shipped_one_softens_the_blocks_of_jpeg(shipped: Restorer) -> None:
    """On streets: it was trained on photographs alone."""
    found = []
    for seed in (21, 22, 23):
        picture = StereoStreet(seed, height=128, width=256).frame(0).side
        coded = code(picture, Coding(JPEG, 10))
        found.append([blocking(image) for image in (picture, coded, restore(shipped, coded))])
    plain, coded_, restored = np.mean(found, 0)
    assert coded_ > plain + 2 and restored - plain < 0.85 * (coded_ - plain)


def test_the_shipped_one_adds_no_pattern(shipped: Restorer) -> None:
    """Where the pattern is left in (cloud.models.pattern) it is 5 to 16 levels high in coarse pictures."""
    picture = StereoStreet(23, height=128, width=256).frame(0).side
    for coding in (Coding(JPEG, 10), Coding(AV1_HALF, 56)):
        coded = code(picture, coding)
        change = restore(shipped, coded).astype(float) - coded
        assert np.abs(change).mean() > 1 and dots(change) < 2


def test_it_is_kept_and_found_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    restorer = Restorer()
    with torch.no_grad():
        for value in restorer.parameters():
            value.copy_(torch.randn_like(value).half().float() * 0.05)
    save_restorer(restorer, tmp_path, {"training": {"steps": 3}})
    kept = load_restorer(tmp_path)
    image = torch.rand(1, 3, 32, 48)
    torch.testing.assert_close(kept(image), restorer(image), atol=2e-3, rtol=0)
    assert json.loads((tmp_path / FACTS).read_text("utf-8"))["training"] == {"steps": 3}
    assert not any(value.requires_grad for value in kept.parameters())


def test_missing_and_damaged_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="restorer"):
        load_restorer(tmp_path)
    save_restorer(Restorer(), tmp_path, {})
    good = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(BundleCorrupt, match="SHA-256"):
        load_restorer(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(good)
    (tmp_path / FACTS).write_text("{}", "utf-8")
    with pytest.raises(BundleCorrupt, match="sha256"):
        load_restorer(tmp_path)
    save_restorer(Restorer((8, 16)), tmp_path, {})  # another network's
    with pytest.raises(BundleCorrupt):
        load_restorer(tmp_path)
