"""Judge pictures: PSNR and MS-SSIM from `common/quality.py`, LPIPS and DISTS from their packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rd.networks import build_dists, build_lpips, replaced, weights_folder
from common.errors import UsageError
from common.quality import ms_ssim, ms_ssim_db, psnr
from common.types import RgbImage


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
            folder = weights_folder(weights)
            builders: dict[str, Callable[[], Any]] = {
                "lpips_vgg": lambda: build_lpips("vgg", folder),
                "lpips_alex": lambda: build_lpips("alex", folder),
                "dists": lambda: build_dists(folder),
            }
            for key in LEARNED:
                if key in self.metrics:
                    kind = _Dists if key == "dists" else _Lpips
                    self._networks[key] = kind(builders[key]().to(device).eval())
            self._shares = _same_beginning(self._networks.get("lpips_vgg"), self._networks.get("dists"))

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
            wanted = self._features(original)
            for start in range(0, len(pictures), step):
                batch = self._tensor(pictures[start : start + step])
                for key, features in self._features(batch).items():
                    values = self._networks[key].distance(wanted[key], features).reshape(-1).tolist()
                    for result, value in zip(results[start : start + step], values, strict=True):
                        result[key] = float(value)
                if progress:
                    progress(len(batch))

    def _features(self, batch: Any) -> dict[str, list[Any]]:
        """Return every network's features of (B, 3, H, W); what LPIPS-VGG and DISTS have in common is computed once."""
        begun = None
        found = {}
        for key, network in self._networks.items():  # LPIPS before DISTS, as in LEARNED
            found[key], first = network.features(batch, begun if key == "dists" else None)
            if key == "lpips_vgg" and self._shares:
                begun = first
        return found

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

    def features(self, batch: Any, begun: Any = None) -> tuple[list[Any], Any]:
        """Return the features of (B, 3, H, W) in [0, 1] that are compared, and the first layer's as it is.

        begun: that first layer, where another network has computed it already.
        """
        raise NotImplementedError

    def distance(self, a: list[Any], b: list[Any]) -> Any:
        raise NotImplementedError


class _Lpips(_Network):
    def features(self, batch: Any, begun: Any = None) -> tuple[list[Any], Any]:
        import lpips

        layers = self._module.net.forward(self._module.scaling_layer(2 * batch - 1))
        return [lpips.normalize_tensor(layer) for layer in layers], layers[0]

    def beginning(self) -> Any:
        return self._module.net.slice1

    def distance(self, a: list[Any], b: list[Any]) -> Any:
        layers = zip(self._module.lins, a, b, strict=True)
        return sum(lin((x - y) ** 2).mean([1, 2, 3]) for lin, x, y in layers)


class _Dists(_Network):
    def features(self, batch: Any, begun: Any = None) -> tuple[list[Any], Any]:
        if begun is None:
            layers = list(self._module.forward_once(batch))
        else:
            with replaced(self._module.stage1, "forward", lambda _: begun):
                layers = list(self._module.forward_once(batch))
        return layers, layers[1]  # the picture itself comes first

    def beginning(self) -> Any:
        return self._module.stage1

    def distance(self, a: list[Any], b: list[Any]) -> Any:
        # The package's forward() computes both halves itself: hand it the ones we have.
        halves = iter((a, b))
        return _with_attribute(
            self._module, "forward_once", lambda _: next(halves), lambda: self._module.forward(a[0], b[0])
        )


def _same_beginning(lpips_vgg: Any, dists: Any) -> bool:
    """Tell whether two networks begin with the same layers: VGG-16 up to its first pooling, an eighth of the work.

    Both scale a picture by ImageNet's means and deviations first, LPIPS from [-1, 1], DISTS from [0, 1].
    """
    if lpips_vgg is None or dists is None:
        return False
    import torch

    pairs = zip(lpips_vgg.beginning().parameters(), dists.beginning().parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def _with_attribute(owner: Any, name: str, value: Any, then: Callable[[], Any]) -> Any:
    """Return `then()` while `owner.name` is `value`."""
    with replaced(owner, name, value):
        return then()
