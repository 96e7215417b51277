"""`mdic-cloud train`: train a codec; `--smoke` proves the whole path in a minute."""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

from common.errors import InputError, MissingDependency, UsageError


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    p = argparse.ArgumentParser(prog="mdic-cloud train", description="train a codec on stereo pairs")
    p.add_argument(
        "--data", type=Path, help="folder of NAME/{left,right}/*; without it only synthetic streets are used"
    )
    p.add_argument(
        "--labels", type=Path, help="folder of label maps NAME/{left,right}/*.png: text supervision"
    )
    p.add_argument("--synthetic", type=int, default=0, metavar="N", help="synthetic pairs to add")
    p.add_argument("--metric-weights", type=Path, required=True, help="folder with the LPIPS-Alex weights")
    p.add_argument("--config", type=Path, help="TOML file (default: cloud/training/configs/compact.toml)")
    p.add_argument("--out", type=Path, required=True, help="run folder: checkpoints, curve")
    p.add_argument(
        "--from",
        dest="start",
        type=Path,
        help="start a new schedule from the weights of this checkpoint or bundle",
    )
    p.add_argument(
        "--tables",
        metavar="BUNDLE",
        help="whose refinement's tables a refiner is trained with (default: the shipped bundle's)",
    )
    p.add_argument(
        "--minutes", type=float, help="stop this call after so many minutes (the run can be resumed)"
    )
    p.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    p.add_argument("--threads", type=int, default=0)
    p.add_argument(
        "--workers", type=int, default=0, help="processes that cut crops (a GPU wants some twelve; 0: none)"
    )
    p.add_argument("--smoke", action="store_true", help="two steps on four synthetic pairs")
    return p


def main(argv: list[str] | None = None) -> int:
    """Train; resumes by itself when the run folder holds a checkpoint."""
    args = parser().parse_args(argv)
    import torch

    from cloud.allocator import keep_freed_memory

    from .config import load_config
    from .curve import draw_curve, read_curve
    from .data import Pair, load_folder, synthetic_pairs
    from .finish import refinement_tables
    from .loop import Trainer
    from .losses import AlexDistance

    if args.workers < 0 or (args.workers and "fork" not in multiprocessing.get_all_start_methods()):
        raise UsageError(
            f"--workers {args.workers}: a number from 0 up, and above 0 only where processes can fork"
        )
    if args.threads:
        torch.set_num_threads(args.threads)
    config = load_config(args.config or Path(__file__).parent / "configs" / "compact.toml")
    pairs: list[Pair] = []
    if args.data and not args.smoke:
        pairs = load_folder(args.data, args.out / "disparity", labels=args.labels, leave_out=config.leave_out)
    tables = refinement_tables(args.tables) if config.refiner_width else None
    count = 4 if args.smoke else args.synthetic
    streets = synthetic_pairs(count, args.out / "synthetic") if count else []
    if not pairs and not streets:
        raise UsageError("nothing to train on: give --data, --synthetic N, or both")
    device = args.device if args.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        keep_freed_memory()
    args.out.mkdir(parents=True, exist_ok=True)
    perceptual = AlexDistance(args.metric_weights)
    trainer = Trainer(config, pairs, streets, perceptual, args.out, device, args.workers, tables)
    last = args.out / "last.safetensors"
    if last.is_file():
        trainer.resume(last)
    elif args.start:
        trainer.resume(args.start, weights_only=True)
    trainer.run(minutes=args.minutes, steps=2 if args.smoke else None)
    try:
        print(f"curve: {draw_curve(read_curve(args.out / 'curve.jsonl'), args.out / 'curve.png')}")
    except (InputError, MissingDependency) as why:
        print(f"no picture of the curve: {why}")
    print(f"{trainer.step} steps, {trainer.seconds / 60:.1f} minutes; checkpoint {last}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
