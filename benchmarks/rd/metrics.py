"""Judge pictures: PSNR and MS-SSIM from `common/quality.py`, LPIPS and DISTS from their packages.

The learned metrics use the packages' own modules. Offline, `MDIC_METRIC_WEIGHTS` names a folder with their
weights in torchvision's key names (`vgg16_features_torchvision.safetensors`,
`alexnet_features_torchvision.safetensors`, `lpips_vgg.pth`, `lpips_alex.pth`, `dists_alpha_beta.pt`); the
modules are then built empty and filled from it, and nothing is downloaded. Without the variable the
packages fetch the backbones through torchvision.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from common.errors import BundleCorrupt, MdicError, MissingDependency, UsageError
from common.quality import ms_ssim, ms_ssim_db, psnr
from common.types import RgbImage

WEIGHTS_VARIABLE = "MDIC_METRIC_WEIGHTS"


@dataclass(frozen=True)
class Metric:
    """Describe a metric.

    Attributes:
        key: its name in JSON files.
        label: its name for readers.
        higher_is_better: its sense.
        digits: decimals worth printing.
    """

    key: str
    label: str
    higher_is_better: bool
    digits: int


METRICS = {
    metric.key: metric
    for metric in (
        Metric("lpips_vgg", "LPIPS-VGG", False, 3),
        Metric("lpips_alex", "LPIPS-Alex", False, 3),
        Metric("dists", "DISTS", False, 3),
        Metric("psnr", "PSNR dB", True, 2),
        Metric("ms_ssim_db", "MS-SSIM dB", True, 2),
    )
}
LEARNED = ("lpips_vgg", "lpips_alex", "dists")
_PIXELS_AT_ONCE = 512 * 1024
"""Bounds the memory of a batch: 16 pictures of 128x256, one of 375x1242."""


class MetricWeightsMissing(MdicError):
    """The learned metrics' weights are neither on disk nor to be had from the network."""

    exit_code = MissingDependency.exit_code

    def __init__(self, what: str, why: str) -> None:
        self.what, self.why = what, why
        hint = f"set {WEIGHTS_VARIABLE} to a folder that holds them, or pick --metrics psnr,ms_ssim_db"
        super().__init__(f"no weights for {what}: {why} ({hint})")


def parse_metrics(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of metric keys.

    Raises:
        UsageError: an unknown one.
    """
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [key for key in keys if key not in METRICS]
    if unknown or not keys:
        raise UsageError(f"--metrics {text!r}: unknown {unknown or 'nothing'} (known: {', '.join(METRICS)})")
    return tuple(key for key in METRICS if key in keys)


class Judge:
    """Measure pictures against a reference; the reference's features are computed once for a whole ladder."""

    def __init__(
        self, metrics: Sequence[str] = tuple(METRICS), weights: Path | None = None, device: str = "cpu"
    ) -> None:
        """Load what the metrics need.

        Args:
            metrics: keys of `METRICS`.
            weights: folder with the networks' weights; None means the packages' own download.
            device: torch device of the networks.

        Raises:
            MissingDependency: a package is not installed.
            MetricWeightsMissing: weights are not there and cannot be fetched.
        """
        self.metrics = tuple(metrics)
        self._device = device
        self._networks: dict[str, _Network] = {}
        if any(key in LEARNED for key in self.metrics):
            if device == "cpu":
                from cloud.allocator import keep_freed_memory

                # A third of the time went to pages that glibc had given back: 22.7 to 14.9 s for 16 small pictures.
                keep_freed_memory()
            folder = _weights_folder(weights)
            builders: dict[str, Callable[[], Any]] = {
                "lpips_vgg": lambda: _lpips("vgg", folder),
                "lpips_alex": lambda: _lpips("alex", folder),
                "dists": lambda: _dists(folder),
            }
            for key in LEARNED:
                if key in self.metrics:
                    kind = _Dists if key == "dists" else _Lpips
                    self._networks[key] = kind(builders[key]().to(device).eval())

    def measure(
        self, reference: RgbImage, pictures: Sequence[RgbImage], progress: Callable[[int], Any] | None = None
    ) -> list[dict[str, float]]:
        """Return every metric (and plain `ms_ssim`) of each (H, W, 3) uint8 RGB picture.

        Args:
            reference: the original.
            pictures: what is judged, all of the reference's size.
            progress: told how many pictures were finished since it was last told.
        """
        results: list[dict[str, float]] = [{} for _ in pictures]
        for result, picture in zip(results, pictures, strict=True):
            if "psnr" in self.metrics:
                result["psnr"] = psnr(reference, picture)
            if "ms_ssim_db" in self.metrics:
                result["ms_ssim"] = ms_ssim(reference, picture)
                result["ms_ssim_db"] = ms_ssim_db(result["ms_ssim"])
            if progress and not self._networks:
                progress(1)
        if self._networks and pictures:
            self._learned(reference, pictures, results, progress)
        return results

    def _learned(
        self,
        reference: RgbImage,
        pictures: Sequence[RgbImage],
        results: list[dict[str, float]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        import torch

        step = max(1, _PIXELS_AT_ONCE // (reference.shape[0] * reference.shape[1]))
        with torch.inference_mode():
            original = self._tensor([reference])
            wanted = {key: network.features(original) for key, network in self._networks.items()}
            for start in range(0, len(pictures), step):
                batch = self._tensor(pictures[start : start + step])
                for key, network in self._networks.items():
                    values = network.distance(wanted[key], network.features(batch)).reshape(-1).tolist()
                    for result, value in zip(results[start : start + step], values, strict=True):
                        result[key] = float(value)
                if progress:
                    progress(len(batch))

    def _tensor(self, pictures: Sequence[RgbImage]) -> Any:
        """Return (B, 3, H, W) float32 in [0, 1]."""
        import torch

        stack = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
        planes = torch.from_numpy(stack).to(self._device).float() / 255
        return planes.contiguous(memory_format=torch.channels_last)


class _Network:
    """A learned metric split in two, so that the reference's half is not computed again for every picture."""

    def __init__(self, module: Any) -> None:
        import torch

        self._module = module.to(memory_format=torch.channels_last)  # a tenth faster on a CPU

    def features(self, batch: Any) -> list[Any]:
        raise NotImplementedError

    def distance(self, a: list[Any], b: list[Any]) -> Any:
        raise NotImplementedError


class _Lpips(_Network):
    def features(self, batch: Any) -> list[Any]:
        import lpips

        layers = self._module.net.forward(self._module.scaling_layer(2 * batch - 1))
        return [lpips.normalize_tensor(layer) for layer in layers]

    def distance(self, a: list[Any], b: list[Any]) -> Any:
        layers = zip(self._module.lins, a, b, strict=True)
        return sum(lin((x - y) ** 2).mean([1, 2, 3]) for lin, x, y in layers)


class _Dists(_Network):
    def features(self, batch: Any) -> list[Any]:
        return list(self._module.forward_once(batch))

    def distance(self, a: list[Any], b: list[Any]) -> Any:
        # The package's forward() computes both halves itself: hand it the ones we have.
        halves = iter((a, b))
        return _with_attribute(
            self._module, "forward_once", lambda _: next(halves), lambda: self._module.forward(a[0], b[0])
        )


def _with_attribute(owner: Any, name: str, value: Any, then: Callable[[], Any]) -> Any:
    """Return `then()` while `owner.name` is `value`."""
    with _replaced(owner, name, value):
        return then()


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
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


# --- building the networks ----------------------------------------------------------------------------------


def _weights_folder(weights: Path | None) -> Path | None:
    named = weights or (Path(os.environ[WEIGHTS_VARIABLE]) if os.environ.get(WEIGHTS_VARIABLE) else None)
    if named is not None and not named.is_dir():
        raise MetricWeightsMissing("LPIPS and DISTS", f"{named} is no folder")
    return named


def _lpips(net: str, folder: Path | None) -> Any:
    """Return the `lpips` package's module with a VGG-16 or AlexNet backbone, weights version 0.1."""
    try:
        import lpips
        from lpips import pretrained_networks
    except ImportError as error:
        raise MissingDependency("lpips", "bench") from error
    if folder is None:
        with _downloading(f"LPIPS-{net}"):
            return lpips.LPIPS(net=net, verbose=False)
    with _replaced(pretrained_networks, "tv", _hollow_models()):
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


def _dists(folder: Path | None) -> Any:
    """Return the `DISTS_pytorch` package's module."""
    try:
        from DISTS_pytorch import DISTS_pt
    except ImportError as error:
        raise MissingDependency("DISTS_pytorch", "bench") from error
    import torch

    if folder is None:
        with _downloading("DISTS"):
            return DISTS_pt.DISTS()
    with _replaced(DISTS_pt, "models", _hollow_models()):
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
