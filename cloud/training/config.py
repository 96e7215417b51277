"""Training configuration: a TOML file, every key checked."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud.models.codec import ModelConfig
from common.errors import UsageError

from .crops import CropShape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on beside its data; `lambdas` weigh bits per pixel, one per quality index."""

    model: ModelConfig = field(default_factory=ModelConfig)
    crops: tuple[CropShape, ...] = (CropShape(128, 256, 8, (0.34, 0.75)),)
    crop_weights: tuple[float, ...] = (1.0,)
    lambdas: tuple[float, ...] = (60.0, 28.0, 13.0, 6.0, 3.0, 1.5, 0.7, 0.3)
    learning_rate: float = 5e-4
    warmup_steps: int = 100
    minutes: float = 60.0
    grad_clip: float = 1.0
    ema: float = 0.998
    drop_side: float = 0.2
    lossy_side: float = 0.12
    restore_side: bool = (
        False  # take the codec's traces out of lossy side views, as a decoder does (cloud.restoration)
    )
    stale_side: float = 0.08
    wrong_side: float = 0.04
    tint: float = 0.2
    colour: float = 0.0
    paste: float = 0.0
    near: float = 0.0
    drop_text: float = 0.1
    leave_out: tuple[str, ...] = ()  # scenes (drives) kept for validation
    grey_share: float = 0.2
    synthetic_share: float = 0.15
    weight_l1: float = 2.0
    weight_mse: float = 10.0
    weight_lpips: float = 2.0
    weight_warp: float = 2.0
    weight_generated: float = 1.0
    weight_geometry: float = 1.5
    weight_smooth: float = 0.02
    weight_latent: float = 0.3
    weight_texture: float = 0.0
    weight_fine: float = 0.0  # LPIPS and texture again on doubled pictures, where AlexNet sees fine texture
    weight_text: float = 0.1
    weight_codebook: float = 1.0  # vector quantisers only
    # The refiner trained along: its sizes, and how often a crop is decoded from the latents of a lower quality than its
    # refinement asks for, which stands for pictures never seen. No refiner if the width is 0.
    refiner_width: int = 0
    refiner_wide: int = 128
    # How far a picture goes to the refiner's, drawn for each crop. All of the way, half or none, so that every share is
    # of use; a bundle's own (`shares` in its manifest) where only its decoder is trained.
    ways: tuple[float, ...] = (1.0, 1.0, 1.0, 0.5, 0.5, 0.0)
    # Train the decoder alone. Encoder, hyperprior and refiner stay, and so do payloads, to the bit: export with
    # --decoder-of. Symbols are rounded as that bundle's encoder rounds them, up from these fractions, one per quality.
    decoder_only: bool = False
    rounding: tuple[float, ...] = ()
    harder: float = 0.35
    weight_base: float = 0.3  # pixel losses of the picture before the refiner
    weight_critic: float = 0.0  # the critic's pull, as a share of all other
    critic_from: float = 0.5  # of the schedule
    steps: int = 0  # end the schedule after so many steps; 0: after `minutes`
    quality_weights: tuple[float, ...] = ()  # how often each quality is drawn; all alike if empty
    seed: int = 0


def load_config(path: Path) -> TrainConfig:
    """Read a TOML file.

    Raises:
        UsageError: if the file is missing, is not TOML, or holds an unknown key.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as why:
        raise UsageError(f"{path}: {why}") from why
    return parse_config(raw, str(path))


def parse_config(raw: dict[str, Any], origin: str) -> TrainConfig:
    """Turn a parsed TOML table into a config; see `load_config`."""
    raw = dict(raw)
    values: dict[str, Any] = {}
    if "model" in raw:
        try:
            values["model"] = ModelConfig(**_known(raw.pop("model"), ModelConfig, f"{origin} [model]"))
        except ValueError as why:
            raise UsageError(f"{origin} [model]: {why}") from why
    crops = raw.pop("crops", None)
    if crops is not None:
        values["crop_weights"] = tuple(float(crop.pop("weight", 1.0)) for crop in crops)
        values["crops"] = tuple(_crop(crop, f"{origin} [[crops]]") for crop in crops)
    values.update(_known(raw, TrainConfig, origin))
    for key in ("lambdas", "quality_weights", "ways", "rounding"):
        if key in values:
            values[key] = tuple(float(v) for v in values[key])
    if "leave_out" in values:
        values["leave_out"] = tuple(str(v) for v in values["leave_out"])
    config = TrainConfig(**values)
    if len(config.lambdas) != config.model.qualities:
        raise UsageError(f"{origin}: {len(config.lambdas)} lambdas for {config.model.qualities} qualities")
    if not config.ways or not all(0 <= way <= 1 for way in config.ways):
        raise UsageError(f"{origin}: ways must be numbers from 0 to 1")
    if config.rounding and not config.decoder_only:
        raise UsageError(f"{origin}: rounding goes with decoder_only")
    if config.rounding and (
        len(config.rounding) != config.model.qualities or not all(0.5 <= r <= 1 for r in config.rounding)
    ):
        raise UsageError(f"{origin}: rounding must be {config.model.qualities} numbers from 0.5 to 1")
    if config.decoder_only and config.model.entropy != "hyperprior":
        raise UsageError(f"{origin}: decoder_only needs entropy = 'hyperprior'")
    drawn = config.quality_weights
    if drawn and (len(drawn) != config.model.qualities or min(drawn) < 0 or sum(drawn) <= 0):
        raise UsageError(f"{origin}: quality_weights must be {config.model.qualities} numbers, one above 0")
    return config


def _crop(table: dict[str, Any], origin: str) -> CropShape:
    shape = CropShape(**{**_known(table, CropShape, origin), "scale": tuple(table["scale"])})
    times = shape.enlarged
    if type(times) is not int or times < 1 or shape.height % times or shape.width % times:
        raise UsageError(f"{origin}: enlarged = {times} does not divide the crop's sides")
    return shape


def _known(table: dict[str, Any], cls: type, origin: str) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(table) - names)
    if unknown:
        raise UsageError(f"{origin}: unknown key {unknown[0]!r}")
    return table
