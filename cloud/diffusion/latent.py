"""The latent space diffusion works in: a fixed linear block transform at stride 8.

A learned autoencoder would have to be trained before anything else could be; the leading principal
components of 8×8 RGB blocks need no training, cannot collapse, and the pixel decoder adds what they miss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 8


class BlockLatent(nn.Module):
    """Project 8×8 RGB blocks of images in [-1, 1] on their leading components, and back.

    Buffers (saved with the weights): basis (K, 3, 8, 8) orthonormal, scale (K,), mean (3,).
    """

    basis: Tensor
    scale: Tensor
    mean: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(channels, 3, BLOCK, BLOCK))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("mean", torch.zeros(3))

    @torch.no_grad()
    def fit(self, blocks: Tensor) -> float:
        """Fit the basis to blocks (N, 3, 8, 8) in [-1, 1]; return the share of variance it keeps."""
        self.mean.copy_(blocks.mean((0, 2, 3)))
        flat = (blocks - self.mean[None, :, None, None]).reshape(len(blocks), -1).double()
        values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
        order = values.argsort(descending=True)[: len(self.scale)]
        self.basis.copy_(vectors[:, order].T.reshape(self.basis.shape).float())
        # The square root of the deviation: between raw (only the mean matters) and white (noise matters too).
        deviation = values[order].clamp_min(1e-8).sqrt()
        self.scale.copy_((deviation.sqrt() * deviation[0].sqrt()).float())
        return float(values[order].sum() / values.sum())

    def encode(self, image: Tensor) -> Tensor:
        """Return latents (B, K, H/8, W/8) of images (B, 3, H, W) in [-1, 1]; float32."""
        with torch.autocast(image.device.type, enabled=False):
            centred = image.float() - self.mean[None, :, None, None]
            return F.conv2d(centred, self.basis, stride=BLOCK) / self.scale[None, :, None, None]

    def decode(self, latent: Tensor) -> Tensor:
        """Return images (B, 3, H, W) of latents (B, K, H/8, W/8); float32."""
        with torch.autocast(latent.device.type, enabled=False):
            image = F.conv_transpose2d(
                latent.float() * self.scale[None, :, None, None], self.basis, stride=BLOCK
            )
            return image + self.mean[None, :, None, None]
