"""`mdic-cloud quantise`: a bundle whose decoder takes half the room, its weights in eight bits (cloud.tensors)."""

from __future__ import annotations

import argparse
from pathlib import Path

from cloud.networks import DECODER
from cloud.reweight import quantise_decoder
from common.bundle import Bundle


def main(argv: list[str] | None = None) -> int:
    """Write the bundle and say how large its decoder is."""
    p = argparse.ArgumentParser(
        prog="mdic-cloud quantise",
        description="store a bundle's decoder in eight bits: half the room, the same payloads",
    )
    p.add_argument("--bundle", help="name or folder of the bundle (default: the shipped one)")
    p.add_argument("--out", type=Path, required=True, help="folder of the new bundle; replaced if it exists")
    args = p.parse_args(argv)
    source = Bundle.load(args.bundle)
    made = quantise_decoder(source, args.out)
    before, after = (one.file(DECODER).stat().st_size / 1e6 for one in (source, made))
    print(f"{DECODER}: {before:.1f} to {after:.1f} MB")
    print(f"bundle {made.name} {made.hex} in {made.path}")
    return 0
