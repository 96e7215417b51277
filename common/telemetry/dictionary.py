"""The zstd dictionary of telemetry: where it lies in a bundle, the one shipped, and how one is trained."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import zstandard

from common.bundle import Bundle
from common.errors import BundleCorrupt
from common.telemetry.batch import pack_batch
from common.telemetry.codec import LEVEL, TelemetryCodec
from common.telemetry.record import Record

DICTIONARY_FILE = "telemetry.zdict"
SHIPPED = Path(__file__).with_name("oxts.zdict")
DICTIONARY_BYTES = 8192
BATCHES = (1, 5, 10)
"""Records a message, at which dictionaries are trained and measured."""
_MAX_DICTIONARY_BYTES = 1 << 20
_FIRST_FREE_ID = 32768
"""zstd keeps smaller ids for a public registry; below 65536 the id takes two bytes of each frame."""
_ID_PLACE = slice(4, 8)
_ID_PLACE = slice(4, 8)


def open_codec(bundle: Bundle | None) -> TelemetryCodec:
    """Return the codec of a bundle; without a bundle, or with one that has no dictionary, plain zstd.

    Raises:
        BundleCorrupt: the dictionary is not what the manifest says, or none.
    """
    if bundle is None or DICTIONARY_FILE not in bundle.manifest["files"]:
        return TelemetryCodec()
    path = bundle.file(DICTIONARY_FILE)
    if path.stat().st_size > _MAX_DICTIONARY_BYTES:
        raise BundleCorrupt(path, f"larger than {_MAX_DICTIONARY_BYTES} bytes")
    return TelemetryCodec(path.read_bytes())


def train_dictionary(drives: Iterable[Sequence[Record]], size: int = DICTIONARY_BYTES) -> bytes:
    """Return a zstd dictionary of at most `size` bytes trained on the records of drives, batched as they are sent.

    Raises:
        ValueError: there are too few records to learn from.
    """
    samples: list[bytes | bytearray | memoryview] = [
        pack_batch(drive[start : start + batch])
        for drive in drives
        for batch in BATCHES
        for start in range(0, len(drive), 3 * batch)
    ]
    try:
        trained = zstandard.train_dictionary(size, samples, level=LEVEL).as_bytes()
    except (zstandard.ZstdError, ValueError) as why:
        raise ValueError(f"no dictionary from {len(samples)} samples: {why}") from why
    number = _FIRST_FREE_ID + zlib.crc32(trained) % (65536 - _FIRST_FREE_ID)
    return trained[: _ID_PLACE.start] + number.to_bytes(4, "little") + trained[_ID_PLACE.stop :]
