"""cloud.models.quantisers.causal: nothing is predicted from what is not yet decoded; both ways of running it agree."""

import pytest
import torch

from cloud.models.quantisers.causal import CausalPrior, CausalState


@pytest.fixture
def prior():
    torch.manual_seed(0)
    net = CausalPrior(groups=3, tokens=7, qualities=4, width=16)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return net.eval()


def test_a_token_reaches_only_what_is_coded_after_it(prior):
    torch.manual_seed(1)
    tokens, quality = torch.randint(0, 7, (1, 3, 4, 5)), torch.tensor([2])
    with torch.no_grad():
        before = prior(tokens, quality)
        for group, row, column in ((0, 0, 0), (1, 1, 4), (2, 2, 2)):
            changed = tokens.clone()
            changed[0, group, row, column] = (changed[0, group, row, column] + 3) % 7
            moved = (prior(changed, quality) - before).abs().amax((0, 4)) > 1e-6  # (G, h, w)
            order = torch.arange(20).view(4, 5) * 3
            place = order + torch.arange(3)[:, None, None]
            own = int(order[row, column]) + group
            assert not moved[place <= own].any(), "a token knows itself, or what comes before knows it"
            assert moved[place > own].any()


def test_step_by_step_is_the_same_network(prior):
    torch.manual_seed(2)
    tokens, quality = torch.randint(0, 7, (1, 3, 4, 5)), torch.tensor([1])
    tokens[:, 2] = -1  # a group that this quality does not send
    with torch.no_grad():
        wanted = prior(tokens, quality).double().softmax(-1)
    assert float(wanted.std()) > 0.05, "a flat prior would prove nothing"
    state = CausalState(prior, 4, 5, 1)
    for position in range(20):
        state.enter(position)
        row, column = divmod(position, 5)
        for group in range(2):
            torch.testing.assert_close(
                state.probabilities(group), wanted[0, group, row, column], atol=1e-5, rtol=0
            )
            state.tell(position, group, int(tokens[0, group, row, column]))


def test_the_quality_is_heard(prior):
    tokens = torch.zeros(1, 3, 2, 2, dtype=torch.int64)
    with torch.no_grad():
        assert not torch.allclose(prior(tokens, torch.tensor([0])), prior(tokens, torch.tensor([3])))
