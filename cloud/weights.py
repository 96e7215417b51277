"""Networks that come with the package: a file of weights and, beside it, one of facts with its SHA-256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from common.errors import BundleCorrupt, BundleNotFound

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def save_network(network: nn.Module, folder: Path, name: str, facts: dict[str, Any]) -> Path:
    """Write `NAME.safetensors` (float16) and `NAME.json` with its SHA-256 and `facts`; return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    data = save({key: v.detach().cpu().half().contiguous() for key, v in network.state_dict().items()})
    path = folder / f"{name}.safetensors"
    path.write_bytes(data)
    about = {"sha256": hashlib.sha256(data).hexdigest(), **facts}
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    return path


def load_network(
    network: nn.Module,
    place: Path | Traversable,
    name: str,
    device: str | torch.device = "cpu",
    expected: dict[str, Any] | None = None,
) -> None:
    """Fill a network with what `save_network` wrote, for use: in evaluation mode, without gradients.

    Args:
        network: of the shape that was saved.
        place: the folder.
        name: of the two files, without suffix.
        device: where to put it.
        expected: facts that must be there as they are here.

    Raises:
        BundleNotFound: a file is missing.
        BundleCorrupt: the weights are not what the facts say, or of another network; or the facts differ.
    """
    weights, facts = f"{name}.safetensors", f"{name}.json"
    try:
        data = (place / weights).read_bytes()
        text = (place / facts).read_text("utf-8")
    except OSError as error:
        raise BundleNotFound(name, [str(place)]) from error
    try:
        about = json.loads(text)
        if about["sha256"] != hashlib.sha256(data).hexdigest():
            raise BundleCorrupt(weights, f"its SHA-256 is not the one in {facts}")
        for key, value in (expected or {}).items():
            if about[key] != value:
                raise BundleCorrupt(facts, f"it names other {key} than this program knows")
        network.load_state_dict({key: value.float() for key, value in load(data).items()})
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BundleCorrupt(weights, str(error)) from error
    network.to(device).eval().requires_grad_(False)
