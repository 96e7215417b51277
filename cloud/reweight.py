"""Make a bundle of another one with other weights of its decoder: for all frames, for some, or in eight bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from cloud.adaptation import factor
from cloud.models.codec import ModelConfig
from cloud.networks import ADDITIONS, DECODER, Addition
from cloud.rebundle import apart, copy_files, facts_of, manifest_text
from cloud.tensors import read_tensors, write_tensors
from common.bundle import MANIFEST, Bundle
from common.errors import BundleCorrupt, UsageError

_ENCODER = "analysis."
"""The weights that the edge has too, as ONNX."""
_ALIKE = (_ENCODER, "denoiser.unet.")
"""The weights that an addition leaves alone: what a second painter had learnt for itself was worth nothing
(docs/decisions/0025)."""


def replace_decoder(
    bundle: Bundle,
    folder: Path,
    weights: Mapping[str, Tensor],
    model: ModelConfig,
    training: dict[str, Any],
    share: float = 1.0,
    name: str | None = None,
) -> Bundle:
    """Write `bundle` with other weights of its decoder into `folder` (replaced if it exists) and return it opened.

    What packets say stays the same, to the bit; only their check, which knows the bundle, is another. What the bundle
    adds to its weights for some frames belongs to the old weights and is left out.

    Args:
        bundle: all but its decoder is taken over.
        folder: not the bundle's own.
        weights: of a `Codec` that was trained from this bundle with its encoder left alone (`decoder_only`).
        model: that codec's configuration.
        training: how it came about, for the manifest.
        share: how far to go from the bundle's weights to these, 0 to 1. Between two ends of one short training there
            often lies a better model than either (weight averaging; Izmailov et al., UAI 2018).
        name: the new bundle's; the old one's if None.

    Raises:
        UsageError: `folder` is the bundle's own, the share is none, or the weights belong to another encoder.
        BundleCorrupt: the bundle is damaged.
    """
    apart(bundle, folder, "has its decoder replaced")
    new = _mixed(bundle, weights, share)[1]
    added = [one.file for one in ADDITIONS]
    kept = [name for name in bundle.manifest["files"] if name not in added]
    copy_files(bundle, folder, kept)
    write_tensors(folder / DECODER, new)
    tables = facts_of(bundle) | {"model": dataclasses.asdict(model), "training": training}
    for one in ADDITIONS:
        tables.pop(one.name, None)
    (folder / MANIFEST).write_text(manifest_text(name or bundle.name, tables, kept, folder))
    return Bundle.load(folder)


def _mixed(
    bundle: Bundle, weights: Mapping[str, Tensor], share: float
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return a bundle's weights, and those a share of the way to others, float32."""
    if not 0 < share <= 1:
        raise UsageError(f"share {share}: expected a number above 0, up to 1")
    old = _decoder(bundle)
    new: dict[str, Tensor] = {}
    for key, value in old.items():
        other = weights.get(key)
        if other is None or other.shape != value.shape:
            raise UsageError(f"bundle {bundle.name} and the checkpoint are different models: see {key}")
        new[key] = value + share * (other.float() - value)
        if key.startswith(_ENCODER) and not new[key].half().float().equal(value):
            raise UsageError(f"the checkpoint has another encoder than bundle {bundle.name}: export it whole")
    return old, new


def _decoder(bundle: Bundle) -> dict[str, Tensor]:
    """Return the weights of a bundle's decoder, float32."""
    path = bundle.file(DECODER)
    try:
        weights = read_tensors(path)
    except (OSError, ValueError, SafetensorError) as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why
    broken = [name for name, value in weights.items() if not bool(value.isfinite().all())]
    if broken:
        raise BundleCorrupt(path, f"weights that are not finite: {broken[0]}")
    return weights


def quantise_decoder(bundle: Bundle, folder: Path) -> Bundle:
    """Write `bundle` with its decoder's matrices in eight bits into `folder` and return it opened.

    The weights that the edge has too stay float16, and so do payloads, to the bit. What the bundle adds to its weights
    for some frames is kept: from the rounded weights it leads to nearly the same.

    Args:
        bundle: all else of it is taken over.
        folder: not the bundle's own; replaced if it exists.

    Raises:
        UsageError: `folder` is the bundle's own.
        BundleCorrupt: the bundle is damaged.
    """
    apart(bundle, folder, "is to be quantised")
    weights, kept = _decoder(bundle), list(bundle.manifest["files"])
    copy_files(bundle, folder, kept)
    matrices = [name for name, value in weights.items() if value.ndim > 1 and not name.startswith(_ENCODER)]
    write_tensors(folder / DECODER, weights, matrices)
    (folder / MANIFEST).write_text(manifest_text(bundle.name, facts_of(bundle), kept, folder))
    return Bundle.load(folder)


def add_weights(
    bundle: Bundle,
    folder: Path,
    addition: Addition,
    weights: Mapping[str, Tensor],
    facts: dict[str, Any],
    size: int,
    share: float = 1.0,
) -> Bundle:
    """Write `bundle` with other weights for some frames into `folder` and return it opened.

    Args:
        bundle: all of it is taken over; an addition of this kind that it has is replaced.
        folder: not the bundle's own; replaced if it exists.
        addition: which frames the weights are for.
        weights: of a `Codec` that was trained with the bundle's encoder left alone (`decoder_only`).
        facts: how it came about, for the manifest; for large frames also above how many `pixels` they are.
        size: bytes to keep of what changed (cloud.adaptation).
        share: how far to go from the bundle's weights to these, 0 to 1.

    Raises:
        UsageError: `folder` is the bundle's own, the share is none, the size too small, or the weights are of another
            encoder.
        BundleCorrupt: the bundle is damaged.
    """
    apart(bundle, folder, "is to get a second decoder")
    old, new = _mixed(bundle, weights, share)
    found = factor({key: old[key] for key in old if not key.startswith(_ALIKE)}, new, size)
    kept = [name for name in bundle.manifest["files"] if name != addition.file]
    copy_files(bundle, folder, kept)
    save_file(found, folder / addition.file)
    (folder / addition.file).chmod(0o644)
    tables = facts_of(bundle) | {addition.name: facts | {"share": share}}
    (folder / MANIFEST).write_text(manifest_text(bundle.name, tables, [*kept, addition.file], folder))
    return Bundle.load(folder)
