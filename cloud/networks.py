"""A bundle's networks, opened on a device."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cloud.adaptation import adapted
from cloud.models.codec import Codec, ModelConfig
from cloud.models.refiner import SHARE, Refiner
from cloud.tensors import read_tensors
from common.bundle import MANIFEST, Bundle
from common.errors import BundleCorrupt

DECODER, REFINER = "decoder.safetensors", "refiner.safetensors"
"""The decoder's weights, and those behind the refinement's intervals."""
PIXELS = "pixels"
"""In the manifest's table of the addition for large frames: they have more."""
SWEEP = "sweep"
"""In an addition's table of the manifest: whether its frames' disparities are swept (cloud.models.sweep)."""
_BROKEN = (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError)
# The trained hyperprior reaches the decoder as integers, not as weights; the other helps training only.
_NOT_WEIGHTS = ("hyperprior.", "masked_object.")


class Addition(NamedTuple):
    """What a bundle may add to its decoder's weights, for some frames: its table in the manifest, and its file."""

    name: str

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.safetensors"


DOUBLED, LARGE = Addition("doubled"), Addition("large")
"""For frames coded at double size; for large frames coded at their own."""
ADDITIONS = (DOUBLED, LARGE)


def load_codec(bundle: Bundle, device: torch.device) -> Codec:
    """Return the decoder's network, ready to decode.

    Raises:
        BundleCorrupt: its file is damaged or does not fit the manifest.
    """
    path = bundle.file(DECODER)
    try:
        model = Codec(ModelConfig(**bundle.manifest["model"]))
        missing, unexpected = model.load_state_dict(read_tensors(path), strict=False)
    except _BROKEN as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why
    missing = [name for name in missing if not name.startswith(_NOT_WEIGHTS)]
    if missing or unexpected:
        raise BundleCorrupt(path, f"weights {(missing + list(unexpected))[:3]} are missing or unknown")
    model = model.to(device).to(memory_format=torch.channels_last)
    return model.eval().requires_grad_(False)


def load_added(bundle: Bundle, model: Codec, addition: Addition) -> Codec:
    """Return the network for the frames of an addition: `model` itself, unless the bundle has it.

    Raises:
        BundleCorrupt: the addition's file is damaged or does not fit the weights, or its table is wrong.
    """
    if addition.file not in bundle.manifest["files"]:
        return model
    facts = bundle.manifest.get(addition.name)
    swept = facts.get(SWEEP, model.geometry.sweep) if isinstance(facts, dict) else model.geometry.sweep
    if type(swept) is not bool or (swept and model.config.attention != "row"):
        raise BundleCorrupt(
            bundle.path / MANIFEST,
            f"{addition.name}.{SWEEP}: expected true or false, and true with matching along rows alone, got {swept}",
        )
    path = bundle.file(addition.file)
    try:
        weights = adapted({name: value.cpu() for name, value in model.state_dict().items()}, load_file(path))
    except _BROKEN as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why
    other = copy.deepcopy(model)
    other.load_state_dict(weights)
    other.geometry.sweep = swept
    return other.requires_grad_(False)


def large_from(bundle: Bundle) -> int:
    """Return how many pixels the smallest frame has that the addition for large ones is for, from the manifest.

    Raises:
        BundleCorrupt: it has that addition and no such number.
    """
    if LARGE.file not in bundle.manifest["files"]:
        return 0
    facts = bundle.manifest.get(LARGE.name)
    pixels = facts.get(PIXELS) if isinstance(facts, dict) else None
    if type(pixels) is not int or pixels < 0:
        raise BundleCorrupt(
            bundle.path / MANIFEST, f"{LARGE.name}.{PIXELS}: expected a number of pixels, got {pixels}"
        )
    return pixels + 1


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
