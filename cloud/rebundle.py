"""Make a bundle of another one: with a refinement, an illumination, context tables, or other weights of its decoder."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor

from cloud.adaptation import factor
from cloud.models.codec import ModelConfig
from cloud.networks import ADDITIONS, DECODER, REFINER, Addition
from cloud.tensors import read_tensors, write_tensors
from common.bundle import ENTROPY, ILLUMINATION, MANIFEST, Bundle, hash_file, stated_format
from common.entropy.contexts import Y_FREQ, Z_FREQ
from common.entropy.illumination import IlluminationCodec
from common.entropy.latents import LatentCodec
from common.errors import BundleCorrupt, UsageError
from common.resampling import RESAMPLING, WAVES

_ENCODER = "analysis."
"""The weights that the edge has too, as ONNX."""
_ALIKE = (_ENCODER, "denoiser.unet.")
"""The weights that an addition leaves alone: what a second painter had learnt for itself was worth nothing
(docs/decisions/0025)."""
_COUNTED = "contexts"
"""The manifest's table of facts about context tables."""


def manifest_text(name: str, tables: Mapping[str, Any], files: list[str], folder: Path) -> str:
    """Return a manifest in TOML: tables of facts (or lists of them), then the files `files` in `folder`."""
    lines = [f"format = {stated_format(tables)}", f"name = {json.dumps(name)}"]
    for table, content in tables.items():
        head = f"[[{table}]]" if isinstance(content, list) else f"[{table}]"
        for values in content if isinstance(content, list) else [content]:
            lines += ["", head, *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    for file in files:
        path = folder / file
        lines += ["", f'[files."{file}"]', f'sha256 = "{hash_file(path)}"', f"bytes = {path.stat().st_size}"]
    return "\n".join(lines) + "\n"


def add_refinement(
    bundle: Bundle,
    folder: Path,
    arrays: dict[str, NDArray[Any]],
    weights: dict[str, Tensor],
    facts: dict[str, Any],
    resampling: list[dict[str, Any]] | None = None,
) -> Bundle:
    """Write `bundle` with a refinement into `folder` (replaced if it exists) and return it opened.

    Args:
        bundle: the bundle to be refined; nothing of it changes.
        folder: not the bundle's own.
        arrays: the refinement's tables (proto/BITSTREAM.md, section 5.1).
        weights: of `cloud.models.refiner.Refiner`; kept as float16.
        facts: how it came about, for the manifest.
        resampling: the sizes at which frames are coded (common.resampling); the bundle's own if None.

    Raises:
        UsageError: `folder` is the bundle's own.
        BundleCorrupt: the bundle is damaged, or the arrays break their rules.
    """
    _apart(bundle, folder, "is to be refined")
    kept = [name for name in bundle.manifest["files"] if name != REFINER]
    _copy(bundle, folder, kept)
    old = {k: v for k, v in load_arrays(folder / ENTROPY).items() if not k.startswith("refine_")}
    save_arrays({**old, **arrays}, folder / ENTROPY)
    save_file({key: value.half().contiguous() for key, value in weights.items()}, folder / REFINER)
    for file in folder.iterdir():
        file.chmod(0o644)
    first = ("codec", "model", "training", *(one.name for one in ADDITIONS), _COUNTED)
    tables: dict[str, Any] = {key: bundle.manifest[key] for key in first if key in bundle.manifest}
    tables["refinement"] = facts
    sizes = bundle.manifest.get(RESAMPLING, []) if resampling is None else resampling
    if sizes:
        tables[RESAMPLING] = sizes
    if ILLUMINATION in bundle.manifest:
        tables[ILLUMINATION] = bundle.manifest[ILLUMINATION]
    (folder / MANIFEST).write_text(manifest_text(bundle.name, tables, [*kept, REFINER], folder))
    LatentCodec.from_bundle_file(folder / ENTROPY)
    return Bundle.load(folder)


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
    _apart(bundle, folder, "has its decoder replaced")
    new = _mixed(bundle, weights, share)[1]
    added = [one.file for one in ADDITIONS]
    kept = [name for name in bundle.manifest["files"] if name not in added]
    _copy(bundle, folder, kept)
    write_tensors(folder / DECODER, new)
    tables = _tables(bundle) | {"model": dataclasses.asdict(model), "training": training}
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
        return read_tensors(path)
    except (OSError, ValueError, SafetensorError) as why:
        raise BundleCorrupt(path, f"{type(why).__name__}: {why}") from why


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
    _apart(bundle, folder, "is to be quantised")
    weights, kept = _decoder(bundle), list(bundle.manifest["files"])
    _copy(bundle, folder, kept)
    matrices = [name for name, value in weights.items() if value.ndim > 1 and not name.startswith(_ENCODER)]
    write_tensors(folder / DECODER, weights, matrices)
    (folder / MANIFEST).write_text(manifest_text(bundle.name, _tables(bundle), kept, folder))
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
    _apart(bundle, folder, "is to get a second decoder")
    old, new = _mixed(bundle, weights, share)
    found = factor({key: old[key] for key in old if not key.startswith(_ALIKE)}, new, size)
    kept = [name for name in bundle.manifest["files"] if name != addition.file]
    _copy(bundle, folder, kept)
    save_file(found, folder / addition.file)
    (folder / addition.file).chmod(0o644)
    tables = _tables(bundle) | {addition.name: facts | {"share": share}}
    (folder / MANIFEST).write_text(manifest_text(bundle.name, tables, [*kept, addition.file], folder))
    return Bundle.load(folder)


def add_illumination(
    bundle: Bundle, folder: Path, arrays: Mapping[str, NDArray[Any]], facts: dict[str, Any]
) -> Bundle:
    """Write `bundle` with an illumination into `folder` (replaced if it exists) and return it opened.

    Args:
        bundle: all else of it is taken over.
        folder: not the bundle's own.
        arrays: the illumination's (proto/BITSTREAM.md, section 5.2). Where the bundle's resampling tables say how many
            waves a frame carries they still do, as far as there are so many.
        facts: how it came about, for the manifest.

    Raises:
        UsageError: `folder` is the bundle's own.
        BundleCorrupt: the bundle is damaged, or the arrays break their rules.
    """
    _apart(bundle, folder, "is to be illuminated")
    most = len(IlluminationCodec(arrays, bundle.codec.qualities, "the new illumination").waves)
    kept = list(bundle.manifest["files"])
    _copy(bundle, folder, kept)
    old = {k: v for k, v in load_arrays(folder / ENTROPY).items() if not k.startswith("light_")}
    save_arrays({**old, **arrays}, folder / ENTROPY)
    (folder / ENTROPY).chmod(0o644)
    tables = _tables(bundle) | {ILLUMINATION: facts}
    for table in tables.get(RESAMPLING, []):
        if WAVES in table:
            table[WAVES] = [min(count, most) for count in table[WAVES]]
    (folder / MANIFEST).write_text(manifest_text(bundle.name, tables, kept, folder))
    return Bundle.load(folder)


def add_contexts(
    bundle: Bundle,
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    resampling: list[dict[str, Any]],
    facts: dict[str, Any],
) -> Bundle:
    """Write `bundle` with context tables into `folder` (replaced if it exists) and return it opened.

    Args:
        bundle: all else of it is taken over.
        folder: not the bundle's own.
        arrays: the tables (proto/BITSTREAM.md, section 5.3).
        resampling: the bundle's tables of sizes, with `contexts`.
        facts: how they came about, for the manifest.

    Raises:
        UsageError: `folder` is the bundle's own.
        BundleCorrupt: the bundle is damaged, or the arrays break their rules.
    """
    _apart(bundle, folder, "is to get context tables")
    kept = list(bundle.manifest["files"])
    _copy(bundle, folder, kept)
    old = {k: v for k, v in load_arrays(folder / ENTROPY).items() if k not in (Y_FREQ, Z_FREQ)}
    save_arrays({**old, **arrays}, folder / ENTROPY)
    (folder / ENTROPY).chmod(0o644)
    tables = _tables(bundle) | {RESAMPLING: resampling, _COUNTED: facts}
    (folder / MANIFEST).write_text(manifest_text(bundle.name, tables, kept, folder))
    made = Bundle.load(folder)
    LatentCodec.of(made)
    return made


def take_illumination(bundle: Bundle, source: Bundle) -> Bundle:
    """Give `bundle`, in its own folder, the illumination of another one if that has any; return it opened."""
    if ILLUMINATION not in source.manifest:
        return bundle
    arrays = {k: v for k, v in load_arrays(source.file(ENTROPY)).items() if k.startswith("light_")}
    folder = bundle.path.with_name(bundle.path.name + ".partial")
    add_illumination(bundle, folder, arrays, source.manifest[ILLUMINATION])
    shutil.rmtree(bundle.path)
    folder.replace(bundle.path)
    return Bundle.load(bundle.path)


def _tables(bundle: Bundle) -> dict[str, Any]:
    """Return the tables of facts of a bundle's manifest, to be changed at will."""
    return {
        key: copy.deepcopy(value)
        for key, value in bundle.manifest.items()
        if isinstance(value, dict | list) and key != "files"
    }


def _apart(bundle: Bundle, folder: Path, what: str) -> None:
    if folder.resolve() == bundle.path.resolve():
        raise UsageError(f"{folder} is the bundle that {what}: give another folder")


def _copy(bundle: Bundle, folder: Path, names: list[str]) -> None:
    """Copy files of a bundle, checked, into a folder of their own, replaced if it exists."""
    paths = {name: bundle.file(name) for name in names}
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, path in paths.items():
        shutil.copyfile(path, folder / name)
        (folder / name).chmod(0o644)
