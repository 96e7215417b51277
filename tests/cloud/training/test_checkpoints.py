"""cloud.training.checkpoints: what is saved comes back; nothing executable is read."""

import pytest
import torch
from torch import nn

from cloud.training.checkpoints import load_checkpoint, save_checkpoint
from common.errors import BundleCorrupt


def trained(width=4):
    torch.manual_seed(width)
    net = nn.Linear(3, width)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    return net, {name: value.detach() * 2 for name, value in net.state_dict().items()}, optimizer


def test_model_average_optimizer_and_facts_come_back(tmp_path):
    net, ema, optimizer = trained()
    save_checkpoint(tmp_path / "c", net, ema, optimizer, {"step": 7})
    torch.manual_seed(9)
    other = nn.Linear(3, 4)
    average = {name: torch.zeros_like(value) for name, value in other.state_dict().items()}
    fresh = torch.optim.AdamW(other.parameters())
    facts = load_checkpoint(tmp_path / "c", other, average, fresh)
    assert facts["step"] == 7 and facts["fitted"] == facts["wanted"] == 2
    assert torch.equal(other.weight, net.weight) and torch.equal(average["bias"], ema["bias"])
    want, got = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert all(torch.equal(torch.as_tensor(want[i][k]), got[i][k]) for i in want for k in want[i])


def test_weights_that_no_longer_fit_are_left_alone(tmp_path):
    net, ema, optimizer = trained(4)
    save_checkpoint(tmp_path / "c", net, ema, optimizer, {"step": 7})
    wider = nn.Linear(3, 5)
    before = wider.weight.detach().clone()
    facts = load_checkpoint(tmp_path / "c", wider, None, None)
    assert facts["fitted"] == 0 and torch.equal(wider.weight, before)


@pytest.mark.parametrize("content", [b"", b"\x80\x04not a pickle either"])
def test_a_damaged_checkpoint_is_one_error(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(BundleCorrupt, match="c"):
        load_checkpoint(tmp_path / "c", nn.Linear(3, 4), None, None)
