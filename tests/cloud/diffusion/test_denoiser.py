"""cloud.diffusion.denoiser."""

import torch

from cloud.diffusion.denoiser import Denoiser


def test_it_starts_as_the_coarse_latent_and_uses_every_input_once_trained():
    torch.manual_seed(0)
    net = Denoiser(8, 16, (32, 48), 16, 2)
    hidden, warped = torch.randn(2, 16, 8, 12), torch.randn(2, 8, 8, 12)
    t = torch.tensor([499, 100])
    noisy = torch.randn(2, 8, 8, 12)
    with torch.no_grad():
        features, coarse = net.condition(hidden, warped)
        assert torch.equal(net(noisy, t, features, coarse, warped), coarse)
        net.unet.conv_out.weight.normal_(0, 0.05)
        base = net(noisy, t, features, coarse, warped)
        assert base.shape == coarse.shape
        assert not torch.allclose(net(noisy + 1, t, features, coarse, warped), base)
        assert not torch.allclose(net(noisy, t // 2, features, coarse, warped), base)
        assert not torch.allclose(net(noisy, t, features + 1, coarse, warped), base)
        net.text.add_(torch.randn_like(net.text))
        assert not torch.allclose(net(noisy, t, features, coarse, warped), base), "text reaches the latent"
