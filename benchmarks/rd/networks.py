"""Build the networks of LPIPS and DISTS from their packages, with weights from a folder or downloaded.

Offline, `MDIC_METRIC_WEIGHTS` names a folder with the weights in torchvision's key names
(`vgg16_features_torchvision.safetensors`, `alexnet_features_torchvision.safetensors`, `lpips_vgg.pth`,
`lpips_alex.pth`, `dists_alpha_beta.pt`); the packages' modules are then built empty and filled from it, and nothing is
downloaded. Without the variable the packages fetch the backbones through torchvision.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common.errors import BundleCorrupt, MdicError, MissingDependency

WEIGHTS_VARIABLE = "MDIC_METRIC_WEIGHTS"


class MetricWeightsMissing(MdicError):
    """The learned metrics' weights are neither on disk nor to be had from the network."""

    exit_code = MissingDependency.exit_code

    def __init__(self, what: str, why: str) -> None:
        self.what, self.why = what, why
        hint = f"set {WEIGHTS_VARIABLE} to a folder that holds them, or pick --metrics psnr,ms_ssim_db"
        super().__init__(f"no weights for {what}: {why} ({hint})")


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute of a module or object another value for a while."""
    had = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def weights_folder(weights: Path | None) -> Path | None:
    """Return the folder of weights that is named, here or by the variable; None where they are to be downloaded.

    Raises:
        MetricWeightsMissing: it is no folder.
    """
    named = weights or (Path(os.environ[WEIGHTS_VARIABLE]) if os.environ.get(WEIGHTS_VARIABLE) else None)
    if named is not None and not named.is_dir():
        raise MetricWeightsMissing("LPIPS and DISTS", f"{named} is no folder")
    return named


def build_lpips(net: str, folder: Path | None) -> Any:
    """Return the `lpips` package's module with a VGG-16 or AlexNet backbone, weights version 0.1.

    Raises:
        MissingDependency: a package is not installed.
        MetricWeightsMissing: a file is not in the folder, or cannot be fetched.
        BundleCorrupt: a file is not what it should be.
    """
    try:
        import lpips
        from lpips import pretrained_networks
    except ImportError as error:
        raise MissingDependency("lpips", "bench") from error
    if folder is None:
        with _downloading(f"LPIPS-{net}"):
            return lpips.LPIPS(net=net, verbose=False)
    with replaced(pretrained_networks, "tv", _hollow_models()):
        module = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)
    _fill_backbone(module.net, folder, net)
    heads = _read(folder / f"lpips_{net}.pth")
    try:
        loaded = module.load_state_dict(heads, strict=False)
    except RuntimeError as error:
        raise BundleCorrupt(folder / f"lpips_{net}.pth", str(error)) from error
    left_out = [key for key in loaded.missing_keys if key.startswith("lin") and not key.startswith("lins.")]
    if left_out or loaded.unexpected_keys:
        why = f"missing {left_out}, unexpected {loaded.unexpected_keys}"
        raise BundleCorrupt(folder / f"lpips_{net}.pth", why)
    return module


def build_dists(folder: Path | None) -> Any:
    """Return the `DISTS_pytorch` package's module; raises what `build_lpips` does."""
    try:
        from DISTS_pytorch import DISTS_pt
    except ImportError as error:
        raise MissingDependency("DISTS_pytorch", "bench") from error
    import torch

    if folder is None:
        with _downloading("DISTS"):
            return DISTS_pt.DISTS()
    with replaced(DISTS_pt, "models", _hollow_models()):
        module = DISTS_pt.DISTS(load_weights=False)
    _fill_backbone(module, folder, "vgg")
    mixing = _read(folder / "dists_alpha_beta.pt")
    with torch.no_grad():
        for key in ("alpha", "beta"):
            if key not in mixing or mixing[key].shape != getattr(module, key).shape:
                raise BundleCorrupt(folder / "dists_alpha_beta.pt", f"no {key} of the right shape")
            getattr(module, key).copy_(mixing[key])
    return module


def _hollow_models() -> SimpleNamespace:
    """Stand in for `torchvision.models`: the same backbones, their weights neither fetched nor made up."""
    try:
        import torch
        from torchvision import models
    except ImportError as error:
        raise MissingDependency("torchvision", "bench") from error

    def hollow(build: Callable[..., Any]) -> Callable[..., Any]:
        def make(pretrained: bool = False, **_: Any) -> Any:
            with torch.device("meta"):
                network = build(weights=None)
            network.features.to_empty(device="cpu")
            return network

        return make

    return SimpleNamespace(vgg16=hollow(models.vgg16), alexnet=hollow(models.alexnet))


def _fill_backbone(module: Any, folder: Path, net: str) -> None:
    """Copy `features.N.*` into a module's slices, whose layers keep N in their names."""
    import torch

    name = {"vgg": "vgg16", "alex": "alexnet"}[net] + "_features_torchvision.safetensors"
    stored = _read(folder / name)
    wanted = {
        key: value
        for key, value in module.named_parameters()
        if key.partition(".")[0].startswith(("slice", "stage"))
    }
    with torch.no_grad():
        for key, parameter in wanted.items():
            _, layer, kind = key.split(".")
            source = stored.get(f"features.{layer}.{kind}")
            if source is None or source.shape != parameter.shape:
                raise BundleCorrupt(
                    folder / name, f"no features.{layer}.{kind} of shape {tuple(parameter.shape)}"
                )
            parameter.copy_(source.float())


def _read(path: Path) -> Mapping[str, Any]:
    import torch

    if not path.is_file():
        raise MetricWeightsMissing(path.name, f"{path} does not exist")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(str(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # safetensors and torch raise half a dozen kinds for a damaged file
        raise BundleCorrupt(path, f"not readable as weights: {error}") from error


@contextlib.contextmanager
def _downloading(what: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both packages still use torchvision's old `pretrained` argument
            yield
    except OSError as error:  # URLError and FileNotFoundError among them
        raise MetricWeightsMissing(what, f"download failed: {error}") from error
