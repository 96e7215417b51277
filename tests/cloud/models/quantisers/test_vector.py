"""cloud.models.quantisers.vector: the paper's tokens, with a rate that reaches the encoder."""

import math

import pytest
import torch
import torch.nn.functional as F

from cloud.models.quantisers.vector import VectorTokens


@pytest.fixture
def tokens():
    torch.manual_seed(0)
    return VectorTokens(8, 8, groups=4, codes=16)


def test_rate_reaches_the_encoder(tokens):
    """An index has no gradient: the reference's rate term trained the entropy model alone."""
    y = torch.randn(2, 8, 4, 6, requires_grad=True)
    with torch.no_grad():
        tokens.prior.bias.normal_(0, 1)  # where all tokens cost the same there is nothing to gain
    tokens(y, torch.tensor([0, 7])).bits.sum().backward()
    assert y.grad is not None and float(y.grad[1].abs().max()) > 0
    assert float(tokens.prior.bias.grad.abs().max()) > 0


def test_one_step_against_the_rate_lowers_it(tokens):
    torch.manual_seed(1)
    y, quality = torch.randn(4, 8, 6, 6), torch.full((4,), 7)
    with torch.no_grad():
        tokens.prior.bias.normal_(0, 2)
    tokens.eval()
    y.requires_grad_(True)
    first = tokens(y, quality).bits.sum()
    first.backward()
    with torch.no_grad():
        later = tokens(y - 0.3 * y.grad / y.grad.std(), quality).bits.sum()
    assert later.item() < first.item() - 5


def test_forward_tokens_and_rebuild_say_the_same(tokens):
    torch.manual_seed(2)
    y, quality = torch.randn(2, 8, 4, 6), torch.tensor([1, 6])
    tokens(y, quality)  # fills the codebook
    tokens.eval()
    with torch.no_grad():
        out, found = tokens(y, quality), tokens.tokens(y, quality)
        torch.testing.assert_close(tokens.rebuild(found, quality), out.y_hat)
        cost = -tokens.prior(found, quality).log_softmax(-1) / math.log(2)
    chosen = cost.gather(-1, found.clamp_min(0)[..., None])[..., 0] * (found >= 0)
    torch.testing.assert_close(chosen.sum((1, 2, 3)), out.bits, rtol=1e-4, atol=1e-3)


def test_qualities_send_more_and_more_groups(tokens):
    sent = tokens.sent(torch.arange(8)).sum(1).tolist()
    assert sent == [1, 1, 2, 2, 3, 3, 4, 4]
    found = tokens.tokens(torch.randn(1, 8, 2, 2), torch.tensor([2]))
    assert (found[:, 2:] == -1).all() and (found[:, :2] >= 0).all()


def test_the_nearest_code_by_angle_is_taken(tokens):
    codes = F.normalize(tokens.codebook.detach(), dim=-1)
    wanted = torch.tensor([3, 9, 0, 15])
    y = torch.cat([7.0 * codes[g, k] for g, k in enumerate(wanted)]).view(1, 8, 1, 1)
    assert tokens.tokens(y, torch.tensor([7])).flatten().tolist() == wanted.tolist()


def test_the_codebook_starts_on_the_first_batch(tokens):
    before = tokens.codebook.detach().clone()
    y = torch.randn(1, 8, 8, 8)
    tokens.eval()
    tokens(y, torch.tensor([7]))
    assert torch.equal(before, tokens.codebook) and not bool(tokens.ready)
    tokens.train()
    tokens(y, torch.tensor([7]))
    filled = tokens.codebook.detach().clone()
    assert bool(tokens.ready) and not torch.equal(before, filled)
    tokens(torch.randn(1, 8, 8, 8), torch.tensor([7]))
    assert torch.equal(filled, tokens.codebook), "only once"


@pytest.mark.parametrize("channels", [4, 6, 10])
def test_channels_must_divide(channels):
    with pytest.raises(ValueError, match=f"{channels} channels"):
        VectorTokens(channels, 8, groups=4)
