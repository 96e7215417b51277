"""Columns of numbers as bytes: each value as what is left of it after a prediction from the rows above.

What belongs together lies together, so that zstd sees planes of alike bytes:

    predictors   one byte a column, absent with a single row: 0 nothing, 1 the value above, 2 a line through both above
    decimals     (scaled columns only) one byte a value, column by column: the decimals less those above, modulo 256
    lengths      one byte a value, column by column: bytes of its residual
    residuals    big-endian, in the same order; even 2x for x >= 0, odd -2x - 1 below
"""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import CorruptPayload
from common.telemetry.numbers import MAX_DECIMALS, Number

_ZERO, _ABOVE, _LINE = range(3)
_MAX_RESIDUAL_BYTES = 24

Column = Sequence[Number]


def pack_columns(columns: Sequence[Column], scaled: bool) -> bytes:
    """Return columns of the same length, at least one row, as bytes.

    Args:
        columns: the numbers.
        scaled: whether they have decimals; without, all of them must be whole.
    """
    predictors, decimals, lengths, residuals = bytearray(), bytearray(), bytearray(), bytearray()
    for column in columns:
        predictor, coded = _best(column)
        if len(column) > 1:
            predictors.append(predictor)
        lengths += bytes(map(len, coded))
        residuals += b"".join(coded)
        if scaled:
            steps = zip(column, (Number(0), *column), strict=False)
            decimals += bytes((value.decimals - above.decimals) & 0xFF for value, above in steps)
    return bytes(predictors + decimals + lengths + residuals)


def unpack_columns(
    data: bytes, offset: int, columns: int, rows: int, scaled: bool
) -> tuple[list[list[Number]], int]:
    """Return the columns that start at `offset`, and the offset after them.

    Raises:
        CorruptPayload: the bytes are no such columns.
    """
    cells = columns * rows
    predictors, offset = _take(data, offset, columns if rows > 1 else 0)
    decimals, offset = _take(data, offset, cells if scaled else 0)
    lengths, offset = _take(data, offset, cells)
    if max(predictors, default=0) > _LINE or max(lengths, default=0) > _MAX_RESIDUAL_BYTES:
        raise CorruptPayload("telemetry: an unknown predictor, or a number of too many digits")
    residuals, offset = _take(data, offset, sum(lengths))
    found: list[list[Number]] = []
    place = 0
    for index in range(columns):
        column: list[Number] = []
        predictor = predictors[index] if predictors else _ZERO
        digits = 0
        for cell in range(index * rows, (index + 1) * rows):
            if scaled:
                digits = (digits + decimals[cell]) & 0xFF
                if digits > MAX_DECIMALS:
                    raise CorruptPayload(f"telemetry: a number with {digits} decimals")
            folded = int.from_bytes(residuals[place : place + lengths[cell]], "big")
            place += lengths[cell]
            residual = -(folded + 1 >> 1) if folded & 1 else folded >> 1
            value = Number(residual + _predicted(column, digits, predictor), digits)
            if not value.valid:
                raise CorruptPayload("telemetry: a number of too many digits")
            column.append(value)
        found.append(column)
    return found, offset


def _best(column: Column) -> tuple[int, list[bytes]]:
    """Return the predictor that leaves the least, and what it leaves."""
    best = _ZERO, _coded(column, _ZERO)
    for predictor in (_ABOVE, _LINE) if len(column) > 1 else ():
        coded = _coded(column, predictor)
        # After a change of scale a prediction may be far off.
        if max(map(len, coded)) <= _MAX_RESIDUAL_BYTES and sum(map(len, coded)) < sum(map(len, best[1])):
            best = predictor, coded
    return best


def _coded(column: Column, predictor: int) -> list[bytes]:
    """Return the residual of each value as bytes."""
    coded = []
    for index, value in enumerate(column):
        residual = value.mantissa - _predicted(column[max(0, index - 2) : index], value.decimals, predictor)
        folded = 2 * residual if residual >= 0 else -2 * residual - 1
        coded.append(folded.to_bytes((folded.bit_length() + 7) // 8, "big"))
    return coded


def _predicted(above: Column, decimals: int, predictor: int) -> int:
    """Return the mantissa that the values above suggest for the next one."""
    if predictor == _ZERO or not above:
        return 0
    last = above[-1].scaled(decimals)
    if predictor == _ABOVE or len(above) == 1:
        return last
    return 2 * last - above[-2].scaled(decimals)


def _take(data: bytes, offset: int, size: int) -> tuple[bytes, int]:
    """Return `size` bytes at `offset` and the offset after them."""
    if offset + size > len(data):
        raise CorruptPayload(f"telemetry: batch of {len(data)} bytes is cut short")
    return data[offset : offset + size], offset + size
