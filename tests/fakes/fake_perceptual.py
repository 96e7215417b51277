"""AlexNet-shaped weights of our own making, for training runs that only have to run: any weights would do."""

from pathlib import Path

import torch
from safetensors.torch import save_file

ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
"""Convolutions by their index in torchvision: outputs, inputs, kernel."""


def write_weights(folder: Path) -> Path:
    """Write features and LPIPS heads as `--metric-weights` wants them; return the folder."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for index, (out, inputs, kernel) in ALEX.items():
        shape = (out, inputs, kernel, kernel)
        weights[f"features.{index}.weight"] = (
            torch.randn(shape, generator=generator) / (inputs * kernel**2) ** 0.5
        )
        weights[f"features.{index}.bias"] = torch.zeros(out)
    save_file(weights, folder / "alexnet_features_torchvision.safetensors")
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, out, 1, 1) for i, (out, _, _) in enumerate(ALEX.values())
    }
    torch.save(heads, folder / "lpips_alex.pth")
    return folder
