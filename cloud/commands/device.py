"""Opening the decoder for a command: torch is imported here and not before."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from common.bundle import Bundle
from common.errors import MissingDependency, UsageError

if TYPE_CHECKING:
    from cloud.decoder import Decoder


def add_restore_option(parser: argparse.ArgumentParser) -> None:
    """Add `--restore` and `--no-restore`."""
    parser.add_argument(
        "--restore",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take the codec's traces out of JPEG, HEVC and lossy WebP side views first (default: on)",
    )


def open_decoder(bundle: Bundle, device: str, restores: bool = True) -> Decoder:
    """Return a decoder for `bundle` on "auto", "cpu" or "cuda"; `restores` lossy side views.

    Raises:
        MissingDependency: torch or diffusers is not installed.
        UsageError: "cuda" without a CUDA device.
        BundleCorrupt: a file of the bundle is not what the manifest says.
    """
    try:
        import torch

        from cloud.decoder import Decoder
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("torch", "diffusers"):
            raise MissingDependency(error.name, "cloud") from error
        raise
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: this machine has no CUDA device that torch can use")
    return Decoder(bundle, device=device, restores=restores)
