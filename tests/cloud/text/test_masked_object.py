"""The masked object: named from what the mask lets through, each label with its own mask."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cloud.text.embed import TagEmbedding
from cloud.text.masked_object import NOTHING, MaskedObjectPredictor, choose_masked, masked_object_loss
from common.errors import InputError

CHANNELS, WIDTH, SIDE = 16, 32, 4


def toy(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Make pictures of SIDE x SIDE cells, four objects' signatures in the upper row and noise below.

    Returns:
        presence (B, 14, 3), features (B, C, SIDE, SIDE), objects per cell (B, SIDE, SIDE) with -1 for noise.
    """
    signatures = torch.randn(14, CHANNELS, generator=torch.Generator().manual_seed(5))
    shown = torch.rand(count, 14, generator=generator).topk(4, 1).indices
    cells = torch.full((count, SIDE, SIDE), -1)
    cells[:, 0] = shown
    noise = torch.randn(count, SIDE, SIDE, CHANNELS, generator=generator)
    features = torch.where((cells >= 0)[..., None], signatures[cells.clamp_min(0)] + 0.1 * noise, noise)
    presence = F.one_hot(shown, 14).sum(1).float()[..., None].expand(-1, -1, 3)
    return presence, features.permute(0, 3, 1, 2), cells


@pytest.fixture(scope="module")
def learned() -> tuple[TagEmbedding, MaskedObjectPredictor, Tensor]:
    """Train predictor and a mask (one logit a cell) together on the toy, each open cell at a small price."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    embedding, predictor = TagEmbedding(WIDTH), MaskedObjectPredictor(CHANNELS, WIDTH)
    logits = torch.zeros(1, 1, SIDE, SIDE, requires_grad=True)
    weights = [*embedding.parameters(), *predictor.parameters()]
    optimiser = torch.optim.Adam([{"params": weights, "lr": 3e-3}, {"params": [logits], "lr": 3e-2}])
    for _ in range(250):
        presence, features, _ = toy(48, generator)
        masked = choose_masked(presence, generator)
        mask = torch.sigmoid(logits)
        scores = predictor(embedding(presence), features, mask.expand(48, -1, -1, -1), masked)
        loss = masked_object_loss(scores, masked) + 0.3 * mask.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return embedding, predictor, torch.sigmoid(logits).detach()


def accuracy(embedding: TagEmbedding, predictor: MaskedObjectPredictor, mask: Tensor) -> float:
    generator = torch.Generator().manual_seed(99)
    presence, features, _ = toy(400, generator)
    masked = choose_masked(presence, generator)
    with torch.no_grad():
        scores = predictor(embedding(presence), features, mask.expand(400, -1, -1, -1), masked)
    return float((scores.argmax(1) == masked).float().mean())


def test_it_learns_to_name_what_it_sees(learned: tuple[TagEmbedding, MaskedObjectPredictor, Tensor]) -> None:
    embedding, predictor, mask = learned
    assert accuracy(embedding, predictor, mask) > 0.8
    # With the mask closed only the text is left: one of the ten objects it does not name.
    assert accuracy(embedding, predictor, torch.zeros_like(mask)) < 0.3


def test_the_mask_learns_where_objects_are(
    learned: tuple[TagEmbedding, MaskedObjectPredictor, Tensor],
) -> None:
    mask = learned[2][0, 0]
    assert float(mask[0].min()) > float(mask[1:].max()) + 0.3


def untrained() -> tuple[Tensor, Tensor, Tensor, Tensor, MaskedObjectPredictor]:
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(4)
    presence, features, _ = toy(6, generator)
    mask = torch.rand(6, 1, SIDE, SIDE, generator=generator)
    tokens = TagEmbedding(WIDTH)(presence).detach()
    return tokens, features, mask, choose_masked(presence, generator), MaskedObjectPredictor(CHANNELS, WIDTH)


def test_gradients_reach_mask_features_and_text() -> None:
    tokens, features, mask, masked, predictor = untrained()
    for tensor in (tokens, features, mask):
        tensor.requires_grad_()
    masked_object_loss(predictor(tokens, features, mask, masked), masked).backward()
    assert tokens.grad is not None and features.grad is not None and mask.grad is not None
    assert (mask.grad.flatten(1).abs().sum(1) > 0).all()
    assert (features.grad.flatten(1).abs().sum(1) > 0).all()
    # The token that was replaced is not read.
    rows = torch.arange(6)
    assert tokens.grad[rows, masked].abs().sum() == 0 and tokens.grad.abs().sum() > 0


def test_a_row_answers_for_itself_whatever_the_order() -> None:
    tokens, features, mask, masked, predictor = untrained()
    logits = predictor(tokens, features, mask, masked)
    order = torch.tensor([5, 4, 3, 2, 1, 0])
    reversed_logits = predictor(tokens[order], features[order], mask[order], masked[order])
    assert torch.allclose(reversed_logits, logits[order], atol=1e-5)
    alone = predictor(tokens[2:3], features[2:3], mask[2:3], masked[2:3])
    assert torch.allclose(alone, logits[2:3], atol=1e-5)
    mask.requires_grad_()
    scores = predictor(tokens, features, mask, masked)
    F.cross_entropy(scores[1:2], masked[1:2]).backward()
    assert mask.grad is not None
    assert mask.grad[1].abs().sum() > 0
    assert mask.grad[[0, 2, 3, 4, 5]].abs().sum() == 0


def test_the_answer_is_not_the_place_of_the_question() -> None:
    _, features, mask, _, predictor = untrained()
    nothing_said = torch.zeros(6, 14, WIDTH)
    a = predictor(nothing_said, features, mask, torch.zeros(6, dtype=torch.int64))
    b = predictor(nothing_said, features, mask, torch.full((6,), 13))
    assert torch.allclose(a, b, atol=1e-5)


def test_what_a_closed_mask_hides_is_not_seen() -> None:
    tokens, features, _, masked, predictor = untrained()
    closed = torch.zeros(6, 1, SIDE, SIDE)
    assert torch.equal(
        predictor(tokens, features, closed, masked), predictor(tokens, features.flip(0), closed, masked)
    )


def test_only_present_objects_are_chosen_and_the_seed_decides() -> None:
    presence = torch.zeros(200, 14, 3)
    presence[:100, [2, 5, 7], 1] = 1
    presence[:100, 9, 0] = 0.3
    chosen = choose_masked(presence, torch.Generator().manual_seed(0))
    assert set(chosen[:100].tolist()) == {2, 5, 7}
    assert set(chosen[100:].tolist()) == {NOTHING}
    assert torch.equal(chosen, choose_masked(presence, torch.Generator().manual_seed(0)))
    assert not torch.equal(chosen, choose_masked(presence, torch.Generator().manual_seed(1)))


def test_loss_is_in_nats_and_leaves_out_rows_without_objects() -> None:
    logits = torch.zeros(3, 14)
    masked = torch.tensor([0, NOTHING, 3])
    assert float(masked_object_loss(logits, masked)) == pytest.approx(torch.log(torch.tensor(14.0)).item())
    logits[1] = 100 * torch.randn(14)
    assert float(masked_object_loss(logits, masked)) == pytest.approx(2.6390573)
    logits.requires_grad_()
    nothing = masked_object_loss(logits, torch.full((3,), NOTHING))
    nothing.backward()
    assert nothing.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    tokens, features, mask, masked, predictor = untrained()
    for wrong in (
        (tokens[:, :13], features, mask, masked),
        (tokens, features, mask[:, :, :1], masked),
        (tokens, features, mask, masked[:2]),
    ):
        with pytest.raises(InputError, match="do not fit"):
            predictor(*wrong)
    with pytest.raises(InputError, match="multiple of 4"):
        MaskedObjectPredictor(8, 10)
