"""A bundle's networks, opened on a device."""

from __future__ import annotations

import copy

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cloud.adaptation import adapted
from cloud.models.codec import Codec, ModelConfig
from cloud.models.refiner import SHARE, Refiner
from common.bundle import MANIFEST, Bundle
from common.errors import BundleCorrupt

DECODER, DOUBLED, REFINER = "decoder.safetensors", "doubled.safetensors", "refiner.safetensors"
"""The decoder's weights; what is added to them for frames coded at double size, if the manifest lists it; the weights
behind the refinement's intervals."""
_BROKEN = (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError)
# The trained hyperprior reaches the decoder as integers, not as weights; the other helps training only.
_NOT_WEIGHTS = ("hyperprior.", "masked_object.")


def load_codec(bundle: Bundle, device: torch.device) -> Codec:
    """Return the decoder's network, ready to decode.

    Raises:
        BundleCorrupt: its file is damaged or does not fit the manifest.
    """
    path = bundle.file(DECODER)
    try:
        model = Codec(ModelConfig(**bundle.manifest["model"]))
        weights = {name: value.float() for name, value in load_file(path).items()}
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except _BROKEN as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why
    missing = [name for name in missing if not name.startswith(_NOT_WEIGHTS)]
    if missing or unexpected:
        raise BundleCorrupt(path, f"weights {(missing + list(unexpected))[:3]} are missing or unknown")
    model = model.to(device).to(memory_format=torch.channels_last)
    return model.eval().requires_grad_(False)


def load_doubled(bundle: Bundle, model: Codec) -> Codec:
    """Return the network for frames coded at double size: `model` itself, unless the bundle adds to its weights.

    Raises:
        BundleCorrupt: the addition's file is damaged or does not fit the weights.
    """
    if DOUBLED not in bundle.manifest["files"]:
        return model
    path = bundle.file(DOUBLED)
    try:
        weights = adapted({name: value.cpu() for name, value in model.state_dict().items()}, load_file(path))
    except _BROKEN as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why
    doubled = copy.deepcopy(model)
    doubled.load_state_dict(weights)
    return doubled.requires_grad_(False)


def load_refiner(bundle: Bundle, device: torch.device) -> Refiner:
    """Return the network behind the refinement's intervals.

    Raises:
        BundleCorrupt: its file is damaged.
    """
    path = bundle.file(REFINER)
    try:
        refiner = Refiner.of(load_file(path))
    except _BROKEN as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why
    refiner = refiner.to(device).to(memory_format=torch.channels_last)
    return refiner.eval().requires_grad_(False)


def shares(bundle: Bundle) -> list[float]:
    """Return how far pictures of each quality go towards the refiner's, from the manifest.

    Raises:
        BundleCorrupt: it is not a number from 0 to 1 for each.
    """
    qualities = bundle.codec.qualities
    found = bundle.manifest.get("refinement", {}).get("shares", [SHARE] * qualities)
    numbers = isinstance(found, list) and all(type(share) in (int, float) for share in found)
    if not numbers or len(found) != qualities or not all(0 <= share <= 1 for share in found):
        raise BundleCorrupt(
            bundle.path / MANIFEST,
            f"refinement.shares: expected {qualities} numbers from 0 to 1, got {found}",
        )
    return [float(share) for share in found]
