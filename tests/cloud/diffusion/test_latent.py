"""cloud.diffusion.latent."""

import pytest
import torch

from cloud.diffusion.latent import BlockLatent


def test_fit_keeps_what_the_blocks_are_made_of():
    torch.manual_seed(0)
    directions = torch.randn(6, 3, 8, 8)
    blocks = torch.einsum("nk,kchw->nchw", torch.randn(500, 6), directions) * 0.1 + 0.2
    latent = BlockLatent(8)
    assert latent.fit(blocks) == pytest.approx(1, abs=1e-6)
    image = blocks[:6].reshape(2, 3, 3, 8, 8).permute(2, 0, 3, 1, 4).reshape(1, 3, 16, 24)
    code = latent.encode(image)
    assert code.shape == (1, 8, 2, 3)
    assert torch.allclose(latent.decode(code), image, atol=1e-4)


def test_the_strongest_component_is_not_alone_in_the_loss():
    torch.manual_seed(0)
    blocks = torch.randn(2000, 3, 1, 1).expand(-1, -1, 8, 8) + 0.05 * torch.randn(2000, 3, 8, 8)
    latent = BlockLatent(4)
    latent.fit(blocks)
    deviation = latent.encode(blocks).std((0, 2, 3))
    assert deviation[0] > deviation[-1] > deviation[0] / 30
