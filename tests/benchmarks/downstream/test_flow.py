"""RAFT-small: its names, its padding, and that the real one finds a known motion."""

import numpy as np
import pytest
import torch

from benchmarks.downstream import flow as flow_module
from benchmarks.downstream.flow import WEIGHTS_FILE, Flow, renamed


class Mean(torch.nn.Module):
    """Answers every pixel with the difference of the two pictures' means, and keeps what it was given."""

    def forward(self, first, second, num_flow_updates):
        self.shape = first.shape
        moved = second.mean() - first.mean()
        return [torch.zeros(1, 2, *first.shape[2:]), torch.full((1, 2, *first.shape[2:]), float(moved))]


def test_pictures_are_scaled_padded_and_cut_back():
    network = Mean()
    first, second = np.zeros((130, 201, 3), np.uint8), np.full((130, 201, 3), 255, np.uint8)
    found = Flow(network).flow(first, second)
    assert network.shape == (1, 3, 136, 208)
    assert found.shape == (130, 201, 2)
    assert np.allclose(found, 2.0)  # from -1 to 1, and the last refinement, not the first
    Flow(network).flow(first[:64], second[:64])
    assert network.shape == (1, 3, flow_module.LEAST_SIDE, 208)


def test_the_authors_names_become_torchvisions():
    names = {
        "module.fnet.conv1.weight": "feature_encoder.convnormrelu.0.weight",
        "module.fnet.layer2.0.conv3.bias": "feature_encoder.layer2.0.convnormrelu3.0.bias",
        "module.cnet.layer3.0.downsample.0.weight": "context_encoder.layer3.0.downsample.0.weight",
        "module.cnet.conv2.weight": "context_encoder.conv.weight",
        "module.update_block.encoder.convc1.weight": "update_block.motion_encoder.convcorr1.0.weight",
        "module.update_block.encoder.convf2.bias": "update_block.motion_encoder.convflow2.0.bias",
        "module.update_block.encoder.conv.weight": "update_block.motion_encoder.conv.0.weight",
        "module.update_block.gru.convz.weight": "update_block.recurrent_block.convgru1.convz.weight",
        "module.update_block.flow_head.conv1.weight": "update_block.flow_head.conv1.weight",
    }
    assert list(renamed(dict.fromkeys(names, 0))) == list(names.values())


def test_torchvisions_names_stay():
    raft = pytest.importorskip("torchvision.models.optical_flow", reason="torchvision is not installed")
    with torch.device("meta"):
        state = raft.raft_small(weights=None).state_dict()
    assert list(renamed(state)) == list(state)


@pytest.mark.slow
def test_the_real_network_finds_a_shift(teachers, pair):
    path = teachers / WEIGHTS_FILE
    if not path.is_file():
        pytest.skip(f"{WEIGHTS_FILE} is not in the teachers' folder")
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    found = Flow.load(path).flow(pair.main, pair.side)  # main(x) = side(x - 10): it moves 10 px to the left
    middle = found[16:-16, 24:-24]
    assert np.median(middle[..., 0]) == pytest.approx(-10, abs=0.3)
    assert np.median(middle[..., 1]) == pytest.approx(0, abs=0.3)
    assert np.mean(np.hypot(middle[..., 0] + 10, middle[..., 1]) < 1) > 0.9
