"""Training losses: perceptual distance, geometry against a teacher, smoothness."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from common.errors import BundleCorrupt

# AlexNet's features in torchvision key names; the layers LPIPS taps come after each ReLU.
_ALEX = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt()


def _texture_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - the mean over channels of DISTS' mean and covariance similarities, (B,), of (B, C, h, w)."""
    mean_a, mean_b = a.mean((2, 3), keepdim=True), b.mean((2, 3), keepdim=True)
    variance_a = (a - mean_a).square().mean((2, 3))
    variance_b = (b - mean_b).square().mean((2, 3))
    covariance = ((a - mean_a) * (b - mean_b)).mean((2, 3))
    mean_a, mean_b = mean_a[..., 0, 0], mean_b[..., 0, 0]
    c = 1e-6
    means = (2 * mean_a * mean_b + c) / (mean_a.square() + mean_b.square() + c)
    structure = (2 * covariance + c) / (variance_a + variance_b + c)
    return 1 - (0.5 * means + 0.5 * structure).mean(1)


class AlexDistance(nn.Module):
    """LPIPS-Alex (v0.1) for training, written against the raw weights so that training needs no torchvision.

    Evaluation uses the `lpips` package; a test compares the two.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        alex, heads = folder / "alexnet_features_torchvision.safetensors", folder / "lpips_alex.pth"
        if not alex.is_file() or not heads.is_file():
            raise BundleCorrupt(
                str(folder), "needs alexnet_features_torchvision.safetensors and lpips_alex.pth"
            )
        weights = load_file(alex)
        lin = torch.load(heads, weights_only=True, map_location="cpu")
        for i, (index, _, _, _) in enumerate(_ALEX):
            self.register_buffer(f"w{i}", weights[f"features.{index}.weight"].float())
            self.register_buffer(f"b{i}", weights[f"features.{index}.bias"].float())
            self.register_buffer(f"h{i}", lin[f"lin{i}.model.1.weight"].float())
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def _features(self, image: Tensor) -> list[Tensor]:
        x = (image * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("spread")
        out = []
        for i, (_, stride, padding, pool) in enumerate(_ALEX):
            if pool:
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(F.conv2d(x, self.get_buffer(f"w{i}"), self.get_buffer(f"b{i}"), stride, padding))
            out.append(x)
        return out

    def forward(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return (LPIPS-Alex, texture distance), each per image (B,); gradients flow to `image` only.

        image, target: (B, 3, H, W) in [0, 1]. The texture distance is DISTS' form (Ding et al. 2020: similarity of
        feature means and of their covariance) over AlexNet's features and the pixels, unweighted: DISTS itself,
        and the network it uses, are kept for evaluation.
        """
        with torch.no_grad():
            wanted = self._features(target)
        got = self._features(image)
        total = torch.zeros(len(image), device=image.device)
        texture = _texture_distance(image, target)
        for i, (a, b) in enumerate(zip(got, wanted, strict=True)):
            total = total + F.conv2d((_unit(a) - _unit(b)).square().float(), self.get_buffer(f"h{i}")).mean(
                (1, 2, 3)
            )
            texture = texture + _texture_distance(a.float(), b.float())
        return total, texture / (len(got) + 1)


class Looks(NamedTuple):
    """How a batch of pictures looks beside the originals: LPIPS-Alex, texture distance, both of enlarged pictures."""

    lpips: Tensor
    texture: Tensor
    fine: Tensor


def looks(
    distance: nn.Module, image: Tensor, main: Tensor, rng: random.Random, with_fine: bool = True
) -> Looks:
    """Return the mean perceptual distances, seen from a random place and at a random scale.

    AlexNet's first layer steps by four pixels. From a fixed place it would teach patterns that please it alone
    (Kettunen et al. 2019, E-LPIPS); and at the paper's 128x256 it hardly sees the texture that makes a picture
    sharp: hence enlarged pictures, of half the batch, for they cost up to four times as much.

    Args:
        distance: gives (LPIPS, texture distance), each (B,); see `AlexDistance`.
        image: (B, 3, H, W) in [0, 1].
        main: the same shape, what it should look like.
        rng: draws place and scale.
        with_fine: whether to look at enlarged pictures; `fine` is 0 if not.
    """
    top, left, factor = rng.randrange(8), rng.randrange(8), rng.uniform(1.25, 2.0)
    views = [view[:, :, top:, left:] for view in (image, main)]
    lpips, texture = distance(views[0], views[1])
    if not with_fine:
        return Looks(lpips.mean(), texture.mean(), image.new_zeros(()))
    half = slice(0, max(1, len(image) // 2))
    large = [
        F.interpolate(view[half], scale_factor=factor, mode="bicubic", align_corners=False) for view in views
    ]
    parts = distance(large[0], large[1])
    return Looks(lpips.mean(), texture.mean(), parts[0].mean() + parts[1].mean())


def disparity_loss(level: Tensor, teacher: Tensor) -> Tensor:
    """Return the Huber error of a disparity level (B, 1, h, w), in pixels / 8, where the teacher is valid.

    Linear from a quarter of a pixel on: at the paper's 128x256, half a pixel of misalignment is what LPIPS punishes.

    teacher: (B, 1, H, W) full-resolution pixels, negative where unknown; it is reduced to the level's size
    by nearest sampling, so that foreground and background are not averaged into a surface that is not there.
    """
    want = (
        teacher if level.shape == teacher.shape else F.interpolate(teacher, level.shape[-2:], mode="nearest")
    )
    valid = (want >= 0).float()
    error = F.smooth_l1_loss(level, want.clamp_min(0), reduction="none", beta=0.25) / 8
    return (error.clamp_max(4.0) * valid).sum() / valid.sum().clamp_min(1)


def smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Return edge-aware first-order smoothness of disparity (B, 1, H, W) given its image (B, 3, H, W) in [0, 1]."""
    dx = (disparity[..., 1:] - disparity[..., :-1]).abs()
    dy = (disparity[..., 1:, :] - disparity[..., :-1, :]).abs()
    wx = torch.exp(-20 * (image[..., 1:] - image[..., :-1]).abs().mean(1, keepdim=True))
    wy = torch.exp(-20 * (image[..., 1:, :] - image[..., :-1, :]).abs().mean(1, keepdim=True))
    return (dx.clamp_max(4) * wx).mean() + (dy.clamp_max(4) * wy).mean()
