"""The tagger: any size, small, the same answer in any batch; its file says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cloud.text.tagger import (
    FACTS,
    OTHER,
    STRIDE,
    WEIGHTS,
    Tagger,
    load_tagger,
    resize,
    save_tagger,
    third_weights,
)
from cloud.text.vocabulary import OBJECTS, tags_of_labels
from common.errors import BundleCorrupt, BundleNotFound, InputError
from common.synthetic.street import StereoStreet


@pytest.fixture
def tagger() -> Tagger:
    torch.manual_seed(0)
    return Tagger()


def test_it_is_small(tagger: Tagger) -> None:
    assert sum(p.numel() for p in tagger.parameters()) <= 500_000


@pytest.mark.parametrize(
    ("height", "width", "columns"),
    [(64, 64, 128), (128, 256, 256), (375, 1242, 416), (200, 90, 64), (64, 2048, 1024)],
)
def test_any_size_becomes_128_rows(tagger: Tagger, height: int, width: int, columns: int) -> None:
    with torch.no_grad():
        out = tagger(torch.rand(2, 3, height, width))
    assert out.logits.shape == (2, OTHER + 1, 128 // STRIDE, columns // STRIDE)
    assert out.presence.shape == (2, 14, 3)
    assert out.presence.isfinite().all() and out.presence.min() >= 0 and out.presence.max() <= 1


def test_the_papers_size_is_not_resized() -> None:
    image = torch.rand(1, 3, 128, 256)
    assert resize(image) is image


def test_a_picture_is_judged_alone_and_in_any_mode(tagger: Tagger) -> None:
    torch.manual_seed(1)
    images = torch.rand(3, 3, 128, 256)
    with torch.no_grad():
        together = tagger.train()(images).presence
        alone = tagger.eval()(images[1:2]).presence
        again = tagger.eval()(images[1:2]).presence
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    assert torch.equal(alone, again)


@pytest.mark.parametrize("shape", [(3, 128, 256), (1, 1, 128, 256), (1, 3, 63, 256), (1, 3, 128, 32)])
def test_a_wrong_shape_is_refused(tagger: Tagger, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="the tagger needs"):
        tagger(torch.zeros(shape))


@pytest.mark.parametrize("width", [8, 32, 52])
def test_thirds_are_exact_means(width: int) -> None:
    pool = third_weights(width).double()
    assert torch.allclose(pool.sum(0), torch.ones(3, dtype=torch.float64), atol=1e-6)
    # Columns repeated three times have borders between columns: the plain mean is the answer there.
    values = torch.rand(width, dtype=torch.float64)
    plain = values.repeat_interleave(3).view(3, width).mean(1)
    assert torch.allclose(values @ pool, plain, atol=1e-6)


def test_presence_follows_the_segmentation(tagger: Tagger) -> None:
    car = OBJECTS.index("car")
    logits = torch.zeros(1, OTHER + 1, 16, 36)
    logits[:, OTHER] = 12
    logits[0, car, 8:12, 26:30] = 24  # a car in the right third
    with torch.no_grad():
        presence = torch.sigmoid(tagger.presence_logits(logits))[0]
    assert presence[car, 2] > 0.8
    presence[car, 2] = 0
    assert presence.max() < 0.1


def test_a_saved_tagger_comes_back(tagger: Tagger, tmp_path: Path) -> None:
    save_tagger(tagger, tmp_path, {"training": {"steps": 7}})
    assert (tmp_path / WEIGHTS).stat().st_size <= 1_000_000
    facts = json.loads((tmp_path / FACTS).read_text("utf-8"))
    assert facts["classes"][:2] == ["road", "tree"] and facts["training"] == {"steps": 7}
    again = load_tagger(tmp_path)
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    image = torch.rand(1, 3, 96, 200)
    with torch.no_grad():
        assert torch.allclose(again(image).presence, tagger(image).presence, atol=0.02)


def test_a_missing_tagger_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="tagger"):
        load_tagger(tmp_path)


def _flip(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def _rename(folder: Path) -> None:
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    (folder / FACTS).write_text(json.dumps({**facts, "classes": ["cat"]}), "utf-8")


def _cut_facts(folder: Path) -> None:
    (folder / FACTS).write_text("{", "utf-8")


@pytest.mark.parametrize("damage", [_flip, _rename, _cut_facts])
def test_a_damaged_tagger_is_refused(tagger: Tagger, tmp_path: Path, damage: object) -> None:
    save_tagger(tagger, tmp_path, {})
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(BundleCorrupt):
        load_tagger(tmp_path)


def test_the_bundled_tagger_knows_what_a_street_shows() -> None:
    tagger = load_tagger()
    hits = said = true = 0
    for seed in (901, 902):
        frame = StereoStreet(seed, 192, 624).frame(0)
        wanted = tags_of_labels(frame.labels).presence > 0.5
        picture = torch.from_numpy(np.ascontiguousarray(frame.main)).permute(2, 0, 1)[None].float() / 255
        got = tagger(picture).presence[0].numpy() > 0.5
        hits, said, true = hits + int((wanted & got).sum()), said + int(got.sum()), true + int(wanted.sum())
    assert hits / said > 0.6 and hits / true > 0.6
