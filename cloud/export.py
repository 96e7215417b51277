"""`mdic-cloud export`: a training checkpoint to a bundle, with parity checked between torch and ONNX Runtime."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from torch import Tensor, nn

from cloud.models.codec import Codec, ModelConfig
from cloud.models.hyperprior import SCALE_COUNT, SCALE_OFFSET, SCALE_STEP
from cloud.networks import ADDITIONS, DECODER, LARGE, PIXELS, SWEEP, Addition
from cloud.rebundle import add_refinement, manifest_text, take_illumination
from cloud.reweight import add_weights, replace_decoder
from cloud.tensors import write_tensors
from cloud.training.checkpoints import load_model, load_refiner
from common.bundle import ENTROPY, MANIFEST, Bundle
from common.entropy.tables import laplace_tables, quantise_pmf
from common.errors import BundleCorrupt, MissingDependency, UsageError
from common.resampling import CONTEXTS, RESAMPLING
from common.telemetry.dictionary import DICTIONARY_FILE, SHIPPED

Z_MAX = 20
Y_MAX = 60
# Symbols whose scale index is this or below are certainly zero (P(other) < 0.3 %): not coded at all.
SKIP_INDEX = 4
PAD_MULTIPLE = 64
ENCODER, HYPER = "encoder.onnx", "hyper.onnx"
_MOST_MEGABYTES = 1000
_LARGE_ABOVE = 131071
"""Pixels; the shipped bundle's table of sizes for whole frames begins here (docs/decisions/0023)."""
_EDGE_ONLY = ("hyperprior.", "masked_object.")  # integers and training's helper: no weights of the decoder


class _EdgeGraph(nn.Module):
    """What the edge runs: uint8 RGB rows in, gained latents out."""

    def __init__(self, model: Codec) -> None:
        super().__init__()
        self.analysis = model.analysis

    def forward(self, image: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        return self.analysis(image.permute(0, 3, 1, 2).float() / 255, quality)  # type: ignore[no-any-return]


class _HyperGraph(nn.Module):
    """The hyper decoder as float32 ONNX: exact, because every sum stays below 2^24; a cross-check of the integers."""

    def __init__(self, model: Codec) -> None:
        super().__init__()
        self.decoder = model.hyperprior.decoder

    def forward(self, z: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        mean, index = self.decoder(z, quality)
        return mean * 16, index


def z_tables(mean: NDArray[np.float64], scale: NDArray[np.float64], max_value: int) -> NDArray[np.int32]:
    """Return cumulative tables (Q, Z, 2 * max + 3) of Laplace distributions with means and scales (Q, Z)."""
    edges = np.arange(-max_value, max_value + 2, dtype=np.float64) - 0.5
    t = (edges[None, None] - mean[..., None]) / scale[..., None]
    cdf = np.where(t < 0, 0.5 * np.exp(np.minimum(t, 0)), 1 - 0.5 * np.exp(-np.maximum(t, 0)))
    pmf = np.maximum(np.diff(cdf, axis=-1), 0)
    escape = np.maximum(1 - pmf.sum(-1, keepdims=True), 1e-6)
    flat = np.concatenate([pmf, escape], -1).reshape(-1, 2 * max_value + 2)
    return quantise_pmf(flat).reshape(*mean.shape, -1)


def entropy_arrays(model: Codec) -> dict[str, NDArray[Any]]:
    """Return everything in `entropy.safetensors` (BITSTREAM.md): integer layers and tables."""
    prior = model.hyperprior
    arrays: dict[str, NDArray[Any]] = {}
    with torch.no_grad():
        for name, value in prior.decoder.integers().items():
            arrays[name] = value.numpy().astype(np.int8 if name.startswith("w") else np.int32)
        mean = prior.z_mean.double().numpy()
        scale = prior.z_log_scale.clamp(-4, 5).exp().double().numpy()
    arrays["z_cdf"] = z_tables(mean, scale, Z_MAX)
    scales = np.exp(np.arange(SCALE_COUNT) * SCALE_STEP - SCALE_OFFSET)
    arrays["y_cdf"] = laplace_tables(scales, Y_MAX)
    arrays["skip_index"] = np.array([SKIP_INDEX], np.int32)
    return arrays


def _to_onnx(
    graph: nn.Module, inputs: tuple[Tensor, Tensor], path: Path, names: tuple[str, ...], axes: tuple[int, int]
) -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as why:
        raise MissingDependency("onnx", "train") from why
    source, target = axes
    dynamic = {names[0]: {source: "height", source + 1: "width"}}
    dynamic.update({name: {target: f"{name}_h", target + 1: f"{name}_w"} for name in names[2:]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            inputs,
            str(path),
            input_names=list(names[:2]),
            output_names=list(names[2:]),
            dynamic_axes=dynamic,
            opset_version=17,
            dynamo=False,
        )


def write_bundle(model: Codec, folder: Path, name: str, training: dict[str, Any]) -> Bundle:
    """Write a bundle of `model` into `folder` (replaced if it exists) and check it; return it opened.

    Weights are rounded to float16 first, so the exported encoder and the decoder in the bundle are one model.

    Raises:
        BundleCorrupt: if ONNX Runtime and torch disagree on the exported encoder.
        MissingDependency: if onnx or onnxruntime is not installed.
        UsageError: if the bitstream does not know the model's way of entropy coding.
    """
    if model.config.entropy != "hyperprior":
        raise UsageError(
            f"a model with entropy = {model.config.entropy!r} has no bitstream: it cannot be exported"
        )
    model = model.eval().cpu().float()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not key.startswith(_EDGE_ONLY):
                value.copy_(value.half().float())
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    quality = torch.tensor([3])
    image = torch.zeros(1, 128, 192, 3, dtype=torch.uint8)
    _to_onnx(_EdgeGraph(model), (image, quality), folder / ENCODER, ("image", "quality", "y", "z"), (1, 2))
    z = torch.zeros(1, model.config.hyper_channels, 2, 3)
    _to_onnx(_HyperGraph(model), (z, quality), folder / HYPER, ("z", "quality", "mean", "index"), (2, 2))
    save_arrays(entropy_arrays(model), folder / ENTROPY)
    weights = {key: value for key, value in model.state_dict().items() if not key.startswith(_EDGE_ONLY)}
    write_tensors(folder / DECODER, weights)
    shutil.copyfile(SHIPPED, folder / DICTIONARY_FILE)
    manifest = _manifest(model.config, name, training, folder)
    (folder / MANIFEST).write_text(manifest)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes files only their owner can read
    check_parity(model, folder)
    return Bundle.load(folder)


def _manifest(config: ModelConfig, name: str, training: dict[str, Any], folder: Path) -> str:
    codec = {
        "latent_channels": config.latent_channels,
        "hyper_channels": config.hyper_channels,
        "qualities": config.qualities,
        "stride": 16,
        "pad_multiple": PAD_MULTIPLE,
    }
    tables = {"codec": codec, "model": dataclasses.asdict(config), "training": training}
    return manifest_text(name, tables, [ENCODER, HYPER, ENTROPY, DECODER, DICTIONARY_FILE], folder)


def check_parity(model: Codec, folder: Path, tolerance: float = 2e-3) -> float:
    """Compare ONNX Runtime with torch on an odd-shaped image; return the largest difference of y and z.

    Raises:
        BundleCorrupt: if it is above `tolerance`, or the hyper decoder's integers differ at all.
    """
    try:
        import onnxruntime
    except ImportError as why:
        raise MissingDependency("onnxruntime", "train") from why
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 192, 320, 3), dtype=np.uint8)
    quality = np.array([5])
    session = onnxruntime.InferenceSession(str(folder / ENCODER), providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": image, "quality": quality})
    with torch.inference_mode():
        want = _EdgeGraph(model)(torch.from_numpy(image), torch.from_numpy(quality))
    worst = max(float(np.abs(g - w.numpy()).max()) for g, w in zip(got, want, strict=True))
    if not worst <= tolerance:
        raise BundleCorrupt(folder / ENCODER, f"differs from torch by {worst:.2g}, more than {tolerance:.2g}")
    z = rng.integers(-9, 10, (1, model.config.hyper_channels, 3, 5)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(folder / HYPER), providers=["CPUExecutionProvider"])
    got = session.run(None, {"z": z, "quality": quality})
    with torch.inference_mode():
        want = _HyperGraph(model)(torch.from_numpy(z), torch.from_numpy(quality))
    if not all(np.array_equal(g, w.numpy()) for g, w in zip(got, want, strict=True)):
        raise BundleCorrupt(folder / HYPER, "integers differ between ONNX Runtime and torch")
    return worst


def _tables(
    name: str | None,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any], list[dict[str, Any]]]:
    """Return the refinement tables of a bundle, what its manifest says of them, and the sizes that it codes at.

    Raises:
        BundleError: it is not there or damaged.
        UsageError: it has none.
    """
    source = Bundle.load(name)
    kept = load_arrays(source.file(ENTROPY)).items()
    arrays = {key: value for key, value in kept if key.startswith("refine_") or key == "round_at"}
    if "refine_step" not in arrays:
        raise UsageError(f"bundle {source.name} has no refinement: give --tables one that has")
    facts = source.manifest.get("refinement", {})
    facts = {key: value for key, value in facts.items() if key in ("plan", "shares")}
    # Context tables are counted on another encoder's latents: `mdic-cloud contexts` fits new ones.
    if source.resampling.most_sets:
        print("context tables are left out, for they were counted with another encoder: mdic-cloud contexts")
    sizes = [
        {key: value for key, value in table.items() if key != CONTEXTS}
        for table in source.manifest.get(RESAMPLING, [])
    ]
    return arrays, facts, sizes


def _with_tables(
    bundle: Bundle,
    refiner: dict[str, Tensor],
    arrays: dict[str, NDArray[Any]],
    facts: dict[str, Any],
    resampling: list[dict[str, Any]],
) -> Bundle:
    """Give a bundle its refiner, and another's refinement tables and sizes to code at; return it opened."""
    folder = bundle.path.with_name(bundle.path.name + ".partial")
    facts = facts | {"note": "the refiner was trained with the codec"}
    add_refinement(bundle, folder, arrays, refiner, facts, resampling)
    shutil.rmtree(bundle.path)
    folder.replace(bundle.path)
    return Bundle.load(bundle.path)


def main(argv: list[str] | None = None) -> int:
    """Export a checkpoint; see the module's docstring."""
    p = argparse.ArgumentParser(
        prog="mdic-cloud export", description="turn a training checkpoint into a bundle"
    )
    p.add_argument("checkpoint", type=Path)
    p.add_argument("folder", type=Path, help="the bundle's folder; replaced if it exists")
    p.add_argument("--name", help="default: the folder's name")
    p.add_argument("--note", default="", help="what it was trained on, kept in the manifest")
    p.add_argument(
        "--tables",
        metavar="BUNDLE",
        help="whose refinement's tables, sizes and illumination to take with the refiner of the checkpoint "
        "(default: the shipped bundle's; `mdic-cloud refine` and `illuminate` fit new ones)",
    )
    p.add_argument(
        "--decoder-of",
        metavar="BUNDLE",
        help="take over all of this bundle but the decoder's weights: for a training of the decoder alone "
        "(decoder_only), after which payloads are the same",
    )
    p.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="with --decoder-of: how far to go from its weights to the checkpoint's (default: all the way)",
    )
    p.add_argument(
        "--doubled",
        type=float,
        metavar="MB",
        help="with --decoder-of: keep its decoder too, and use the checkpoint's for frames coded at double size only, "
        "as an addition of so many megabytes",
    )
    p.add_argument(
        "--large",
        type=float,
        metavar="MB",
        help=f"the same for frames of more than {_LARGE_ABOVE:,} pixels that are coded at their own size",
    )
    args = p.parse_args(argv)
    addition, size = _addition(args)
    if args.decoder_of is not None and args.tables is not None:
        raise UsageError("--tables does not go with --decoder-of, whose tables are taken over")
    source = None if args.decoder_of is None else Bundle.load(args.decoder_of)
    model, facts = load_model(args.checkpoint)
    if source is not None:
        weights, training = model.state_dict(), _training(facts, args.note)
        if addition is not None:
            training |= {PIXELS: _LARGE_ABOVE} if addition == LARGE else {}
            training |= {SWEEP: True} if model.config.sweep else {}
            _tell(add_weights(source, args.folder, addition, weights, training, size, args.share))
            return 0
        _tell(replace_decoder(source, args.folder, weights, model.config, training, args.share, args.name))
        for one in ADDITIONS:
            if one.file in source.manifest["files"]:
                print(f"{one.file} is left out, for it adds to the old weights: --{one.name} makes another")
        return 0
    refiner = load_refiner(args.checkpoint)
    tables = _tables(args.tables) if refiner else None  # before anything is written
    training = _training(facts, args.note)
    bundle = write_bundle(model, args.folder, args.name or args.folder.name, training)
    if tables is not None:
        bundle = take_illumination(_with_tables(bundle, refiner, *tables), Bundle.load(args.tables))
    _tell(bundle)
    return 0


def _addition(args: argparse.Namespace) -> tuple[Addition | None, int]:
    """Return which addition is to be made, if any, and its size in bytes."""
    given = {one: getattr(args, one.name) for one in ADDITIONS}
    wanted = [one for one in ADDITIONS if given[one] is not None]
    if args.decoder_of is None and (args.share != 1.0 or wanted):
        raise UsageError("--share, --doubled and --large go with --decoder-of")
    if not wanted:
        return None, 0
    if len(wanted) > 1:
        raise UsageError("--doubled and --large are of different trainings: give one, then the other")
    one, megabytes = wanted[0], given[wanted[0]]
    if not 0 < megabytes <= _MOST_MEGABYTES:
        raise UsageError(f"--{one.name} {megabytes}: expected megabytes, above 0, up to {_MOST_MEGABYTES}")
    return one, round(megabytes * 1e6)


def _training(facts: dict[str, Any], note: str) -> dict[str, Any]:
    return {"steps": int(facts["step"]), "minutes": round(facts["seconds"] / 60, 1), "note": note}


def _tell(bundle: Bundle) -> None:
    size = sum(file.stat().st_size for file in bundle.path.iterdir())
    print(f"bundle {bundle.name} {bundle.hex}: {size / 1e6:.1f} MB in {bundle.path}")


if __name__ == "__main__":
    raise SystemExit(main())
