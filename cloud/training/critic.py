"""The adversarial term: a critic that looks at patches, and its share in what a picture is told."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .precision import mixed

_RATE = 2e-4
_SLOPE = 0.2
_TINY = 1e-12
_MOST = 1e4


class Critic(nn.Module):
    """Say of every patch how real it looks: (B, 3, H, W) in [-1, 1] to (B, 1, H/4, W/4).

    A field of view of 40 pixels: texture and edges, not scenes, of which a few hundred would be known by heart.
    Spectral normalisation keeps its gradients bounded (Miyato et al. 2018).
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        sizes = (
            (3, width, 4, 2),
            (width, 2 * width, 4, 2),
            (2 * width, 4 * width, 3, 1),
            (4 * width, 4 * width, 3, 1),
        )
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, stride in sizes:
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, 1)), nn.LeakyReLU(_SLOPE)]
        self.body = nn.Sequential(*layers, spectral_norm(nn.Conv2d(4 * width, 1, 3, 1, 1)))

    def forward(self, image: Tensor) -> Tensor:
        """Return the score of every patch."""
        return self.body(image)  # type: ignore[no-any-return]


class Adversary:
    """A critic that learns beside what it judges."""

    def __init__(self, device: torch.device, rate: float = _RATE) -> None:
        self.device = device
        self.critic = Critic().to(device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=rate, betas=(0.5, 0.9))

    def learn(self, real: Tensor, made: Tensor) -> Tensor:
        """Take one step on (B, 3, H, W) pictures in [-1, 1]; return the hinge loss."""
        both = torch.cat([real, made.detach()])
        with mixed(self.device):
            first, second = self.critic(both).float().chunk(2)
        loss = F.relu(1 - first).mean() + F.relu(1 + second).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def pull(self, image: Tensor, other: Tensor, weight: float) -> Tensor:
        """Return a gradient on `image` (B, 3, H, W), a leaf: the critic's, `weight` times as strong as `other`.

        other: the gradient of everything else the picture is told. In units of it the critic can neither be drowned
        out nor take over, however steep it is (as in Esser et al. 2021, VQGAN, there by the last layer's gradient).
        """
        with mixed(self.device):
            score = -self.critic(image).float().mean()
        (own,) = torch.autograd.grad(score, image)
        scale: Tensor = weight * other.norm() / (own.norm() + _TINY)
        pull: Tensor = own * scale.clamp_max(_MOST)
        return pull
