"""cloud.training.batches: what is drawn has the shapes the loop expects, and the same seed draws the same."""

import random

import pytest
import torch

from cloud.training.batches import Batches, ParallelBatches
from cloud.training.config import parse_config
from cloud.training.data import synthetic_pairs


@pytest.fixture(scope="module")
def pairs():
    return synthetic_pairs(2, height=128, width=256)


def batches(pairs, seed=0, **settings):
    crops = [{"height": 64, "width": 128, "batch": 3, "scale": [0.5, 1.0]}]
    config = parse_config({"crops": crops, **settings}, "test")
    return Batches(config, [], pairs, random.Random(seed), torch.device("cpu"))


def test_a_batch_has_the_shapes_of_its_crop(pairs):
    batch = batches(pairs).next()
    assert batch.main.shape == batch.side.shape == (3, 3, 64, 128)
    assert batch.disparity.shape == (3, 1, 64, 128) and batch.present.shape == (3,)
    assert (
        batch.tags.shape == (3, 14, 3) and float(batch.tags.abs().max()) == 0
    )  # streets have no labels here
    assert float(batch.main.min()) >= 0 and float(batch.main.max()) <= 1 and float(batch.disparity.max()) > 0


def test_the_same_seed_draws_the_same(pairs):
    first, second, other = (batches(pairs, seed).next() for seed in (1, 1, 2))
    assert torch.equal(first.main, second.main) and torch.equal(first.disparity, second.disparity)
    assert not torch.equal(first.main, other.main)


def test_a_side_view_can_be_left_out_every_time(pairs):
    assert float(batches(pairs, drop_side=1.0).next().present.max()) == 0


def test_grey_pairs_stand_in_where_there_is_nothing_else(pairs):
    for pair in pairs:
        assert not pair.grey
    config = parse_config({"crops": [{"height": 64, "width": 128, "batch": 1, "scale": [1, 1]}]}, "test")
    grey = [type(pairs[0])(p.main, p.side, p.main_disparity, p.side_disparity, True) for p in pairs]
    drawn = Batches(config, grey, [], random.Random(0), torch.device("cpu")).next()
    assert drawn.main.shape == (1, 3, 64, 128)


def test_other_processes_draw_what_their_number_and_the_seed_say(pairs):
    def drawn(seed):
        source = ParallelBatches(batches(pairs), 2, seed)
        return [source.next() for _ in range(3)]

    first, second, other = drawn(1), drawn(1), drawn(2)
    assert first[0].main.shape == (3, 3, 64, 128) and float(first[0].main.max()) <= 1
    assert all(torch.equal(a.main, b.main) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0].main, other[0].main)
    assert not torch.equal(first[0].main, first[1].main)  # two processes, two generators


def test_new_scenes_and_colours_leave_the_geometry_true(pairs):
    plain, changed = batches(pairs).next(), batches(pairs, paste=1.0, colour=0.15).next()
    assert changed.main.shape == plain.main.shape and not torch.equal(changed.main, plain.main)
    assert float(changed.disparity.max()) > 0
