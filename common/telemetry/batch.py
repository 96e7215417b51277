"""Several records as one run of bytes, before zstd: as text, or as columns of numbers where they are nothing else.

form         1 byte: 0 text, 1 numbers
count - 1    1 byte: at most 64 records
text:        columns (whole): seq and capture_ns from the message's, length; then the records one after the other
numbers:     columns - 1 (1 byte), length of the tail (1 byte), the tail that ends every record;
             columns (whole): seq and capture_ns; columns (scaled): the numbers, which one space separates
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from common.errors import CorruptPayload
from common.telemetry.columns import pack_columns, unpack_columns
from common.telemetry.numbers import Number, parse, render
from common.telemetry.record import MAX_BATCH_RECORDS, MAX_PLAIN_BYTES, Record

_TEXT, _NUMBERS = 0, 1
_MAX_COLUMNS = 128
_MAX_TAIL_BYTES = 8
_WHITE = b" \r\n\t"


def pack_batch(records: Sequence[Record]) -> bytes:
    """Return records of one kind as bytes; sequence numbers must increase.

    Raises:
        ValueError: there is none, there are too many, or their numbers do not increase.
    """
    if not 1 <= len(records) <= MAX_BATCH_RECORDS:
        raise ValueError(f"a batch of {len(records)} records (allowed: 1 to {MAX_BATCH_RECORDS})")
    if any(b.seq <= a.seq for a, b in pairwise(records)):
        raise ValueError("sequence numbers of a batch do not increase")
    first = records[0]
    keys = [
        [Number(record.seq - first.seq) for record in records],
        [Number(record.capture_ns - first.capture_ns) for record in records],
    ]
    head = bytes((len(records) - 1,))
    table = _table([record.data for record in records])
    if table is None:
        lengths = [Number(len(record.data)) for record in records]
        texts = b"".join(record.data for record in records)
        return bytes((_TEXT,)) + head + pack_columns([*keys, lengths], scaled=False) + texts
    columns, tail = table
    shape = bytes((len(columns) - 1, len(tail))) + tail
    numbers = pack_columns(keys, scaled=False) + pack_columns(columns, scaled=True)
    return bytes((_NUMBERS,)) + head + shape + numbers


def unpack_batch(data: bytes, seq: int, capture_ns: int) -> list[Record]:
    """Return the records of a batch whose message has that `seq` and `capture_ns`.

    Raises:
        CorruptPayload: the bytes are no batch.
    """
    if len(data) < 4 or data[0] not in (_TEXT, _NUMBERS) or data[1] >= MAX_BATCH_RECORDS:
        raise CorruptPayload("telemetry: not a batch of records")
    rows = data[1] + 1
    if data[0] == _TEXT:
        (seqs, times, lengths), offset = unpack_columns(data, 2, 3, rows, scaled=False)
        texts = _cut(data, offset, [length.mantissa for length in lengths])
    else:
        width, tail_bytes = data[2] + 1, data[3]
        offset = 4 + tail_bytes
        tail = data[4:offset]
        if width > _MAX_COLUMNS or tail_bytes > _MAX_TAIL_BYTES or len(tail) < tail_bytes:
            raise CorruptPayload(f"telemetry: records of {width} columns and a tail of {tail_bytes} bytes")
        (seqs, times), offset = unpack_columns(data, offset, 2, rows, scaled=False)
        columns, offset = unpack_columns(data, offset, width, rows, scaled=True)
        if offset != len(data):
            raise CorruptPayload(f"telemetry: {len(data) - offset} bytes after the batch")
        texts = [b" ".join(map(render, row)) + tail for row in zip(*columns, strict=True)]
    if sum(map(len, texts)) > MAX_PLAIN_BYTES:
        raise CorruptPayload(f"telemetry: records of more than {MAX_PLAIN_BYTES} bytes")
    found = [
        Record(seq + number.mantissa, capture_ns + time.mantissa, text)
        for number, time, text in zip(seqs, times, texts, strict=True)
    ]
    _check_keys(found, seq)
    return found


def _check_keys(records: Sequence[Record], seq: int) -> None:
    """Refuse numbers that do not increase from the message's own, and anything past 64 bits."""
    if records[0].seq != seq or any(b.seq <= a.seq for a, b in pairwise(records)):
        raise CorruptPayload("telemetry: the records' numbers do not increase from the message's")
    if records[-1].seq >= 1 << 64 or not all(0 <= record.capture_ns < 1 << 64 for record in records):
        raise CorruptPayload("telemetry: a number or a capture time out of its range")


def _cut(data: bytes, offset: int, lengths: Sequence[int]) -> list[bytes]:
    """Return the texts that fill the rest of `data`."""
    if min(lengths) < 0 or offset + sum(lengths) != len(data):
        raise CorruptPayload("telemetry: the records' lengths do not fit the batch")
    texts = []
    for length in lengths:
        texts.append(data[offset : offset + length])
        offset += length
    return texts


def _table(texts: Sequence[bytes]) -> tuple[list[list[Number]], bytes] | None:
    """Return the columns of records that are rows of as many numbers each, and their common tail; else None."""
    body = texts[0].rstrip(_WHITE)
    tail = texts[0][len(body) :]
    if not body or len(tail) > _MAX_TAIL_BYTES or body.count(b" ") >= _MAX_COLUMNS:
        return None
    rows: list[list[Number]] = []
    for text in texts:
        if not text.endswith(tail) or text.count(b" ") != texts[0].count(b" "):
            return None
        numbers = [parse(token) for token in text[: len(text) - len(tail)].split(b" ")]
        whole = [number for number in numbers if number is not None]
        if len(whole) < len(numbers):
            return None
        rows.append(whole)
    return [list(column) for column in zip(*rows, strict=True)], tail
