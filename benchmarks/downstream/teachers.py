"""Where the frozen networks' weights lie, and how they are read: state dicts only, nothing executable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import BundleCorrupt, UsageError

TEACHERS_VARIABLE = "MDIC_TEACHERS"


def teachers_folder(named: Path | None) -> Path | None:
    """Return the folder given with --teachers or by MDIC_TEACHERS; None when neither is.

    Raises:
        UsageError: what was named is no folder.
    """
    value = os.environ.get(TEACHERS_VARIABLE)
    folder = named or (Path(value) if value else None)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"teachers: {folder} is no folder (--teachers or {TEACHERS_VARIABLE})")
    return folder


def find_weights(folder: Path | None, file: str, what: str) -> tuple[Path | None, str]:
    """Return the file of a network's weights, or None and the sentence that says why there is none."""
    if folder is None:
        return None, f"{what} skipped: no weights (give --teachers FOLDER or set {TEACHERS_VARIABLE})"
    path = folder / file
    if not path.is_file():
        return None, f"{what} skipped: the teachers' folder holds no {file}"
    return path, ""


def read_state_dict(path: Path) -> dict[str, Any]:
    """Return the tensors of a `.pth` file, read without unpickling code.

    Raises:
        BundleCorrupt: it is not a state dict.
    """
    import torch

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise BundleCorrupt(path, f"not readable as weights: {error}") from error
    if not isinstance(stored, Mapping) or not all(isinstance(v, torch.Tensor) for v in stored.values()):
        raise BundleCorrupt(path, "holds something other than a state dict")
    return dict(stored)


def fill(network: Any, state: Mapping[str, Any], path: Path) -> Any:
    """Load every tensor of a network strictly and return it, frozen and in inference mode.

    Raises:
        BundleCorrupt: names or shapes do not fit.
    """
    try:
        network.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise BundleCorrupt(path, str(error)) from error
    return network.eval().requires_grad_(False)
