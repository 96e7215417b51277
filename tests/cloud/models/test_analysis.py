"""cloud.models.analysis."""

import torch

from cloud.models.analysis import Analysis


def test_strides_and_quality_gain():
    torch.manual_seed(0)
    net = Analysis(12, 4, 8, widths=(8, 12, 16)).eval()
    image = torch.rand(2, 3, 128, 192)
    with torch.no_grad():
        low = net(image, torch.tensor([0, 0]))
        high = net(image, torch.tensor([7, 0]))
    assert low[0].shape == (2, 12, 8, 12) and low[1].shape == (2, 4, 2, 3)
    assert high[0][0].abs().mean() > 5 * low[0][0].abs().mean()
    assert torch.equal(high[0][1], low[0][1]), "quality is per image"


def test_the_default_network_is_shallow():
    """At most 20 kMAC a pixel: the edge's budget (docs/method.md)."""
    net = Analysis(32, 8, 8)
    macs = 0

    def count(layer, _inputs, output):
        nonlocal macs
        macs += layer.weight.numel() * output.shape[-2] * output.shape[-1]

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        net(torch.rand(1, 3, 256, 256), torch.tensor([0]))
    assert macs / 256**2 < 20_000
