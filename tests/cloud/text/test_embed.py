"""Tags as tokens: absent objects say nothing, surer objects say it louder, places differ."""

from __future__ import annotations

import pytest
import torch

from cloud.text.embed import TagEmbedding, presence_tensor
from cloud.text.vocabulary import OBJECTS, Tags
from common.errors import InputError


def tokens_of(embedding: TagEmbedding, *captions: str) -> torch.Tensor:
    return embedding(presence_tensor([Tags.from_caption(c).tags for c in captions]))


@pytest.fixture
def embedding() -> TagEmbedding:
    torch.manual_seed(0)
    return TagEmbedding(32)


def test_one_token_an_object_and_none_for_the_absent(embedding: TagEmbedding) -> None:
    tokens = tokens_of(embedding, "car left", "")
    assert tokens.shape == (2, 14, 32)
    there = tokens.abs().sum(2) > 0
    assert there[0].nonzero().flatten().tolist() == [OBJECTS.index("car")]
    assert not there[1].any()


def test_places_and_objects_are_told_apart(embedding: TagEmbedding) -> None:
    tokens = tokens_of(embedding, "car left", "car right", "tree left")
    car, tree = OBJECTS.index("car"), OBJECTS.index("tree")
    assert (tokens[0, car] - tokens[1, car]).norm() > 0.5
    assert (tokens[0, car] - tokens[2, tree]).norm() > 0.5


def test_presence_weighs_the_token(embedding: TagEmbedding) -> None:
    presence = presence_tensor([Tags.from_caption("car left, tree").tags])
    assert torch.allclose(embedding(presence * 0.25), embedding(presence) * 0.25, atol=1e-6)


def test_gradients_reach_both_tables(embedding: TagEmbedding) -> None:
    tokens_of(embedding, "car left").square().sum().backward()
    car = OBJECTS.index("car")
    assert embedding.objects.grad is not None and embedding.positions.grad is not None
    assert embedding.objects.grad[car].abs().sum() > 0
    assert embedding.objects.grad[:car].abs().sum() == 0
    assert embedding.positions.grad[0].abs().sum() > 0 and embedding.positions.grad[1:].abs().sum() == 0


@pytest.mark.parametrize("shape", [(14, 3), (1, 3, 14), (1, 14, 3, 1)])
def test_a_wrong_shape_is_refused(embedding: TagEmbedding, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="presence must be"):
        embedding(torch.zeros(shape))
