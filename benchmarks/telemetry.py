"""`python -m benchmarks telemetry`: what compression saves of the rig's records, and the dictionary it takes.

Measured on OXTS records of synthetic drives that the dictionary was not trained on; with --data also on the OXTS
records and calibration files of a real drive. Every record is unpacked again and compared byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zstandard

from benchmarks import report
from benchmarks.rd.results import write_json
from common.datasets import PairDataset
from common.datasets.layouts import open_datasets
from common.errors import DatasetError, UsageError
from common.synthetic import OxtsRecorder
from common.telemetry import Record, TelemetryCodec
from common.telemetry.codec import LEVEL
from common.telemetry.dictionary import BATCHES, DICTIONARY_BYTES, SHIPPED, train_dictionary

TRAINING_SEEDS = range(200)
TEST_SEEDS = range(1_000_000, 1_000_020)
TRAINING_RECORDS, TEST_RECORDS = 120, 200
_STEP_NS = 100_000_000

Drive = Sequence[Record]


def main(argv: list[str]) -> int:
    """Train or measure; the table goes to stdout."""
    options = _parser().parse_args(argv)
    if options.train is not None:
        return _train(options.train, options.size)
    dictionary = _read(options.dictionary)
    document = report.describe_run(report.command_line("benchmarks", ["telemetry", *argv]), TEST_SEEDS[0]) | {
        "zstandard": {"package": zstandard.__version__, "zstd": ".".join(map(str, zstandard.ZSTD_VERSION))},
        "dictionary": {"bytes": len(dictionary), "sha256": hashlib.sha256(dictionary).hexdigest()},
        "drives": len(TEST_SEEDS),
        "synthetic": measure([synthetic_drive(seed, TEST_RECORDS) for seed in TEST_SEEDS], dictionary),
    }
    if options.data is not None:
        document |= {"data": report.command_text([options.data]), **real(Path(options.data), dictionary)}
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(document))
    return 0


def synthetic_drive(seed: int, records: int) -> list[Record]:
    """Return the OXTS records of a synthetic drive at 10 Hz."""
    recorder = OxtsRecorder(seed)
    return [Record(index, index * _STEP_NS, recorder.record(index)) for index in range(records)]


def measure(drives: Sequence[Drive], dictionary: bytes) -> dict[str, Any]:
    """Return bytes a record: raw, each as text through plain zstd, and by our codec by records a message.

    Raises:
        AssertionError: a record did not come back as it was.
    """
    count = sum(map(len, drives))
    raw = sum(len(record.data) for drive in drives for record in drive)
    rows = [
        _row(drives, batch, with_dictionary, dictionary, count)
        for batch in BATCHES
        for with_dictionary in (False, True)
    ]
    return {
        "records": count,
        "raw": raw / count,
        "text_zstd": {str(batch): _text_zstd(drives, batch) / count for batch in BATCHES},
        "packed": rows,
    }


def real(folder: Path, dictionary: bytes) -> dict[str, Any]:
    """Return the same of the drives in a folder, and what becomes of their calibration files.

    Raises:
        DatasetError: they have neither records nor calibration.
    """
    drives: list[Drive] = []
    calibration: list[Record] = []
    for dataset in open_datasets(folder):
        if not isinstance(dataset, PairDataset):
            continue
        drive: list[Record] = []
        for index, pair in enumerate(dataset.pairs):
            for record in dataset.records(index):
                kept = Record(index, pair.capture_ns, record.data)
                drive += [kept] if record.kind == "oxts" else []
                calibration += [] if record.kind == "oxts" else [kept]
        drives += [drive] if drive else []
    if not drives and not calibration:
        raise DatasetError(folder, "no OXTS records and no calibration files in it")
    found: dict[str, Any] = {}
    if drives:
        found["real"] = measure(drives, dictionary)
    if calibration:
        codecs = {"packed": TelemetryCodec(), "packed_dictionary": TelemetryCodec(dictionary)}
        sizes = {name: sum(len(c.pack("calib", [r]).data) for r in calibration) for name, c in codecs.items()}
        raw = sum(len(record.data) for record in calibration)
        found["real_calibration"] = {"files": len(calibration), "raw_total": raw, **sizes}
    return found


def _row(
    drives: Sequence[Drive], batch: int, with_dictionary: bool, dictionary: bytes, count: int
) -> dict[str, Any]:
    codec = TelemetryCodec(dictionary if with_dictionary else None)
    begun = time.perf_counter()
    messages = [
        [codec.pack("oxts", drive[start : start + batch]) for start in range(0, len(drive), batch)]
        for drive in drives
    ]
    packed = time.perf_counter()
    back = [[record for message in drive for record in codec.unpack(message)] for drive in messages]
    unpacked = time.perf_counter()
    assert back == [list(drive) for drive in drives], "a record did not come back as it was"
    size = sum(len(message.data) for drive in messages for message in drive)
    return {
        "batch": batch,
        "dictionary": with_dictionary,
        "bytes": size / count,
        "pack_us": 1e6 * (packed - begun) / count,
        "unpack_us": 1e6 * (unpacked - packed) / count,
    }


def _text_zstd(drives: Sequence[Drive], batch: int) -> int:
    """Return the bytes of plain zstd frames over the text of so many records each: the yardstick."""
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    return sum(
        len(compressor.compress(b"".join(record.data for record in drive[start : start + batch])))
        for drive in drives
        for start in range(0, len(drive), batch)
    )


def table(document: dict[str, Any]) -> str:
    """Return the bytes a record as a Markdown table."""
    lines = []
    for name in ("synthetic", "real"):
        if name not in document:
            continue
        part = document[name]
        lines += [
            f"OXTS, {name}: {part['records']} records of {part['raw']:.0f} bytes",
            "",
            "| records a message | text, zstd | packed, zstd | packed, zstd with dictionary | saved |",
            "| ---: | ---: | ---: | ---: | ---: |",
        ]
        for batch in BATCHES:
            plain, best = (
                next(
                    row["bytes"] for row in part["packed"] if (row["batch"], row["dictionary"]) == (batch, d)
                )
                for d in (False, True)
            )
            saved = 100 * (1 - best / part["raw"])
            text = part["text_zstd"][str(batch)]
            lines.append(f"| {batch} | {text:.0f} | {plain:.0f} | {best:.0f} | {saved:.0f} % |")
        lines.append("")
    if "real_calibration" in document:
        part = document["real_calibration"]
        lines.append(
            f"calibration: {part['files']} files, {part['raw_total']} bytes, {part['packed']} packed, "
            f"{part['packed_dictionary']} with the dictionary"
        )
    return "\n".join(lines).rstrip()


def _train(path: Path, size: int) -> int:
    if not 512 <= size <= 1 << 20:
        raise UsageError(f"--size {size} is not 512 to {1 << 20}")
    trained = train_dictionary([synthetic_drive(seed, TRAINING_RECORDS) for seed in TRAINING_SEEDS], size)
    try:
        path.write_bytes(trained)
    except OSError as why:
        raise UsageError(f"--train {path}: {why.strerror or why}") from why
    print(f"dictionary {TelemetryCodec(trained).dictionary_id} of {len(trained)} bytes in {path}")
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as why:
        raise UsageError(f"--dictionary {path}: {why.strerror or why}") from why


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks telemetry", description=__doc__)
    add = parser.add_argument
    add("--data", metavar="DIR", help="a real KITTI raw drive with oxts/, measured besides")
    add("--dictionary", type=Path, default=SHIPPED, metavar="FILE", help="default: the one shipped")
    add("--json", type=Path, help="write the numbers to this file")
    add(
        "--train",
        type=Path,
        metavar="OUT",
        help="train a dictionary on synthetic drives and write it; no measuring",
    )
    add(
        "--size",
        type=int,
        default=DICTIONARY_BYTES,
        help="bytes of a trained dictionary (default %(default)s)",
    )
    return parser
