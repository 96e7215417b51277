"""ESPNetv2: its shapes, its dilations, and that each part matters."""

import itertools

import pytest
import torch

from benchmarks.downstream.espnet import EspNetV2, Layout, dilations

TINY = Layout((16, 32, 48, 64), (1, 2), (13, 11, 9, 9, 7), (12, 8, 8), 4, 5)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    network = EspNetV2(TINY).eval()
    for module in network.modules():  # as after training: statistics that are not 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


@pytest.mark.parametrize("size", [(32, 64), (64, 96), (160, 96)])
def test_logits_are_half_the_size(tiny, size):
    with torch.inference_mode():
        assert tiny(torch.zeros(1, 3, *size)).shape == (1, 5, size[0] // 2, size[1] // 2)


def test_the_released_layout_has_the_published_size():
    with torch.device("meta"):
        network = EspNetV2()
    assert len(network.state_dict()) == 526
    parameters = sum(p.numel() for p in network.parameters())
    assert 0.75e6 < parameters < 0.85e6
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes["base_net.level2_0.eesp.proj_1x1.conv.weight"] == (24, 8, 1, 1)
    assert shapes["base_net.level4.6.conv_1x1_exp.conv.weight"] == (512, 128, 1, 1)
    assert shapes["merge_enc_dec_l3.expansion_layer.cbr.0.weight"] == (48, 8, 3, 3)
    assert shapes["bu_dec_l4.merge_layer.3.bias"] == (20,)


def test_dilations_follow_the_receptive_limit():
    assert dilations(13) == [1, 2, 3, 4]
    assert dilations(9) == [1, 2, 3, 4]
    assert dilations(7) == [1, 1, 2, 3]
    assert dilations(3) == [1, 1, 1, 1]


def test_the_picture_is_reinforced_at_every_strided_unit(tiny):
    torch.manual_seed(1)
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = tiny.base_net(picture)[3]
        for unit in (tiny.base_net.level2_0, tiny.base_net.level3_0, tiny.base_net.level4_0):
            kept = unit.inp_reinf[1].bn.weight.clone()
            unit.inp_reinf[1].bn.weight.zero_()
            assert not torch.equal(tiny.base_net(picture)[3], before)
            unit.inp_reinf[1].bn.weight.copy_(kept)
        assert torch.equal(tiny.base_net(picture)[3], before)


def test_branches_are_fused_hierarchically(tiny):
    """The narrowest branch reaches every channel group of the fused map, the widest only its own."""
    unit = tiny.base_net.level3[0]
    x = torch.rand(1, 48, 16, 16)
    seen = []
    unit.br_after_cat.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    width = 48 // 4
    with torch.inference_mode():
        unit(x)
        unit.spp_dw[0].conv.weight.add_(1.0)
        unit(x)
        unit.spp_dw[3].conv.weight.add_(1.0)
        unit(x)
    first, second = (
        (a - b).abs().amax((0, 2, 3)).reshape(4, width).amax(1) for a, b in itertools.pairwise(seen)
    )
    assert (first > 1e-3).tolist() == [True] * 4
    assert (second > 1e-3).tolist() == [False, False, False, True]
