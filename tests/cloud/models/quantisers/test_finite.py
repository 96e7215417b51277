"""cloud.models.quantisers.finite: bounded levels, tables chosen by neighbours, a rate that reaches the encoder."""

import math

import pytest
import torch

from cloud.models.quantisers.finite import CLASSES, TOKENS, FiniteTokens, classes, contexts


@pytest.fixture
def tokens():
    torch.manual_seed(0)
    net = FiniteTokens(6, 8)
    with torch.no_grad():
        net.table.add_(0.03 * torch.randn_like(net.table))
        net.quality.add_(0.03 * torch.randn_like(net.quality))
    return net


def test_rate_reaches_the_encoder_and_the_tables(tokens):
    y = torch.randn(2, 6, 4, 6, requires_grad=True)
    out = tokens(y, torch.tensor([0, 7]))
    out.bits.sum().backward()
    assert y.grad is not None and float(y.grad.abs().amax((1, 2, 3)).min()) > 0
    assert float(tokens.table.grad.abs().max()) > 0 and float(tokens.quality.grad[[0, 7]].abs().min()) > 0
    assert float(out.penalty) == 0


def test_one_step_against_the_rate_lowers_it(tokens):
    y = (2 * torch.randn(4, 6, 6, 6)).requires_grad_(True)
    first = tokens(y, torch.full((4,), 7)).bits.sum()
    first.backward()
    with torch.no_grad():
        later = tokens(y - 0.3 * y.grad / y.grad.std(), torch.full((4,), 7)).bits.sum()
    assert later.item() < first.item() - 5


def test_forward_tokens_and_rebuild_say_the_same(tokens):
    y, quality = 2 * torch.randn(2, 6, 4, 6), torch.tensor([1, 6])
    with torch.no_grad():
        out, found = tokens(y, quality), tokens.tokens(y)
        torch.testing.assert_close(tokens.rebuild(found), out.y_hat)
        cost = -tokens.logits(quality).log_softmax(-1) / math.log(2)
        context = contexts(found)
    bits = torch.zeros(2)
    for b, p, r, c in torch.cartesian_prod(
        torch.arange(2), torch.arange(3), torch.arange(4), torch.arange(6)
    ):
        bits[b] += cost[b, p, context[b, p, r, c], found[b, p, r, c]]
    torch.testing.assert_close(bits, out.bits, rtol=1e-4, atol=1e-3)


def test_levels_are_five_and_bounded(tokens):
    y = torch.linspace(-9, 9, 60).view(1, 6, 1, 10)
    found = tokens.tokens(y)
    assert int(found.min()) >= 0 and int(found.max()) < TOKENS
    assert tokens.rebuild(found).unique().tolist() == [-2, -1, 0, 1, 2]
    assert tokens.rebuild(torch.full((1, 3, 1, 1), tokens.nothing)).abs().max() == 0


def test_contexts_look_left_and_up_only():
    tokens = torch.full((1, 1, 3, 3), TOKENS // 2)
    tokens[0, 0, 1, 1] = 0  # both levels at -2
    assert classes(tokens)[0, 0].tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    assert contexts(tokens)[0, 0].tolist() == [[0, 0, 0], [0, 0, 2 * CLASSES], [0, 2, 0]]
    assert int(classes(torch.tensor([TOKENS // 2 + 1]))) == 1


def test_channels_must_pair():
    with pytest.raises(ValueError, match="5 channels"):
        FiniteTokens(5, 8)
