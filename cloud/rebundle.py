"""Make a bundle of another one: with a refinement, an illumination or context tables."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor

from cloud.networks import ADDITIONS, REFINER
from common.bundle import ENTROPY, ILLUMINATION, MANIFEST, Bundle, hash_file, stated_format
from common.entropy.contexts import Y_FREQ, Z_FREQ
from common.entropy.illumination import IlluminationCodec
from common.entropy.latents import LatentCodec
from common.errors import UsageError
from common.resampling import RESAMPLING, WAVES

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
    apart(bundle, folder, "is to be refined")
    kept = [name for name in bundle.manifest["files"] if name != REFINER]
    copy_files(bundle, folder, kept)
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
    apart(bundle, folder, "is to be illuminated")
    most = len(IlluminationCodec(arrays, bundle.codec.qualities, "the new illumination").waves)
    kept = list(bundle.manifest["files"])
    copy_files(bundle, folder, kept)
    old = {k: v for k, v in load_arrays(folder / ENTROPY).items() if not k.startswith("light_")}
    save_arrays({**old, **arrays}, folder / ENTROPY)
    (folder / ENTROPY).chmod(0o644)
    tables = facts_of(bundle) | {ILLUMINATION: facts}
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
    apart(bundle, folder, "is to get context tables")
    kept = list(bundle.manifest["files"])
    copy_files(bundle, folder, kept)
    old = {k: v for k, v in load_arrays(folder / ENTROPY).items() if k not in (Y_FREQ, Z_FREQ)}
    save_arrays({**old, **arrays}, folder / ENTROPY)
    (folder / ENTROPY).chmod(0o644)
    tables = facts_of(bundle) | {RESAMPLING: resampling, _COUNTED: facts}
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


def facts_of(bundle: Bundle) -> dict[str, Any]:
    """Return the tables of facts of a bundle's manifest, to be changed at will."""
    return {
        key: copy.deepcopy(value)
        for key, value in bundle.manifest.items()
        if isinstance(value, dict | list) and key != "files"
    }


def apart(bundle: Bundle, folder: Path, what: str) -> None:
    """Raise UsageError if `folder` is the bundle's own; `what` says what was to be done to it."""
    if folder.resolve() == bundle.path.resolve():
        raise UsageError(f"{folder} is the bundle that {what}: give another folder")


def copy_files(bundle: Bundle, folder: Path, names: list[str]) -> None:
    """Copy files of a bundle, checked, into a folder of their own, replaced if it exists."""
    paths = {name: bundle.file(name) for name in names}
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, path in paths.items():
        shutil.copyfile(path, folder / name)
        (folder / name).chmod(0o644)
