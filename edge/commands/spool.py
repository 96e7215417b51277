"""`mdic-edge spool`: what a spool holds, also while a stream is using it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge.spool import SpoolReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--spool", type=Path, required=True, metavar="DIR", help="the spool's folder")
    parser.add_argument(
        "--ledger",
        action="store_true",
        help="list what was captured: number, SHA-256, size and state of each frame",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what is there."""
    spool = SpoolReader(args.spool)
    try:
        told = summary(spool, ledger=args.ledger)
    finally:
        spool.close()
    print(json.dumps(told) if args.json else describe(told), flush=True)
    return 0


def summary(spool: SpoolReader, *, ledger: bool = False) -> dict[str, Any]:
    """Return what a spool holds as one JSON-ready object; numbers are those on the wire."""
    base, oldest = spool.base or 0, spool.oldest()
    told: dict[str, Any] = {
        "spool": str(spool.folder),
        "stream_id": spool.stream_id.hex(),
        "captured": spool.next_seq,
        "pending": spool.pending,
        "bytes": spool.bytes,
        "oldest_seq": None if oldest is None else base + oldest,
        "oldest_age_s": None if oldest is None else round(spool.oldest_age_s() or 0.0, 3),
        "base_seq": spool.base,
    }
    if ledger:
        told["ledger"] = list(spool.ledger())
    return told


def describe(told: dict[str, Any]) -> str:
    """Return the same as lines for a person."""
    lines = [f"spool     {told['spool']}, stream {told['stream_id']}"]
    waits = f"{told['pending']} frames wait, {told['bytes']} bytes"
    if told["oldest_seq"] is not None:
        waits += f"; the oldest is frame {told['oldest_seq']}, {told['oldest_age_s']:.0f} s old"
    lines.append(f"frames    {told['captured']} captured, {waits}")
    lines += [
        f"{row['seq']:>9} {row['state']:8} {row['bytes']:>8} {row['sha256']}"
        for row in told.get("ledger", [])
    ]
    return "\n".join(lines)
