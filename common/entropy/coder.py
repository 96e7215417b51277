"""The range coder: integers to bytes and back, in pure Python (proto/BITSTREAM.md, section 6).

This is the reference that defines the bytes; a compiled twin must give the same ones. The interval is held as
`low` and `size` (32 bits), probabilities as 16-bit fractions, and a byte leaves whenever the size falls below
2^24. A carry out of `low` runs back through the bytes already written, so no leading byte is reserved for it.
The last value is chosen with as many trailing zero bytes as its interval allows, and those are not sent: a
decoder reads zeros past the end, at most IMPLIED_ZERO_BYTES of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from common.errors import CorruptPayload

PROBABILITY_BITS = 16
PROBABILITY_TOTAL = 1 << PROBABILITY_BITS
IMPLIED_ZERO_BYTES = 16
"""A payload leaves out at most this many trailing zero bytes; needing more of them proves it is truncated."""

_SIZE_START = 0xFFFFFFFF
_SIZE_MIN = 1 << 24
_CARRY = 1 << 32
_STATE_BYTES = 4
_LAST_TARGET = PROBABILITY_TOTAL - 1
_HALF = PROBABILITY_TOTAL >> 1


def _propagate_carry(written: bytearray) -> None:
    """Add one to the big-endian number `written`.

    It never overflows: the whole code value stays below one.
    """
    position = len(written) - 1
    while written[position] == 0xFF:
        written[position] = 0
        position -= 1
    written[position] += 1


class RangeEncoder:
    """Collect symbols, given as slices of the probability range, into bytes."""

    def __init__(self) -> None:
        self._low = 0
        self._size = _SIZE_START
        self._written = bytearray()

    def encode(self, start: int, freq: int) -> None:
        """Encode one symbol that owns `[start, start + freq)` of the 65536 probability units.

        Raises:
            ValueError: the slice is empty or leaves the range.
        """
        if start < 0 or freq < 1 or start + freq > PROBABILITY_TOTAL:
            raise ValueError(f"slice [{start}, {start} + {freq}) is not inside [0, {PROBABILITY_TOTAL})")
        self.encode_many((start,), (freq,))

    def encode_bits(self, bits: Sequence[int]) -> None:
        """Encode bits, each of probability one half."""
        self.encode_many([_HALF if bit else 0 for bit in bits], [_HALF] * len(bits))

    def encode_many(self, starts: Iterable[int], freqs: Iterable[int]) -> None:
        """Encode many symbols; the slices must be valid (see `encode`), they are not checked here.

        Raises:
            ValueError: `starts` and `freqs` differ in length.
        """
        # Local names and plain Python integers: this loop is the edge's hot path.
        low, size, written = self._low, self._size, self._written
        for start, freq in zip(starts, freqs, strict=True):
            step = size >> PROBABILITY_BITS
            low += step * start
            size = step * freq
            while size < _SIZE_MIN:
                if low >= _CARRY:
                    low -= _CARRY
                    _propagate_carry(written)
                written.append(low >> 24)
                low = (low & 0xFFFFFF) << 8
                size <<= 8
        self._low, self._size = low, size

    def finish(self) -> bytes:
        """Return the shortest bytes that decode to the symbols given so far; the encoder is spent then."""
        low, high = self._low, self._low + self._size
        value = _CARRY  # a multiple of 2^32 ends the number before these last four bytes ...
        if low == 0:
            value = 0
        elif not low <= _CARRY < high:
            value = (low + _SIZE_MIN - 1) // _SIZE_MIN * _SIZE_MIN  # ... else size promises one of 2^24
        if value >= _CARRY:
            value -= _CARRY
            _propagate_carry(self._written)
        self._written += value.to_bytes(_STATE_BYTES, "big")
        least = max(0, len(self._written) - IMPLIED_ZERO_BYTES)
        return bytes(self._written[:least]) + bytes(self._written[least:]).rstrip(b"\0")


class RangeDecoder:
    """Read symbols back out of the bytes of `RangeEncoder.finish`.

    Any bytes at all give either symbols or CorruptPayload; the symbols asked for bound the work.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload_bytes = len(payload)
        self._data = payload + bytes(IMPLIED_ZERO_BYTES)
        self._code = int.from_bytes(self._data[:_STATE_BYTES], "big")
        self._size = _SIZE_START
        self._position = _STATE_BYTES

    def decode(self, cdf: Sequence[int]) -> int:
        """Decode one symbol: the index of the slice of `cdf` (cumulative, from 0 to 65536).

        Raises:
            CorruptPayload: the bytes cannot have come from the encoder.
        """
        return self.decode_many((0,), (cdf,))[0]

    def decode_bits(self, count: int) -> list[int]:
        """Decode bits, each of probability one half.

        Raises:
            CorruptPayload: the bytes cannot have come from the encoder.
        """
        return self.decode_many([0] * count, (_BIT_CDF,))

    def decode_many(
        self, table_ids: Iterable[int], cdfs: Sequence[Sequence[int]], into: list[int] | None = None
    ) -> list[int]:
        """Decode one symbol for each id, with the table `cdfs[id]` (cumulative, from 0 to 65536).

        Args:
            table_ids: asked for one by one, each after the symbol before it is decoded.
            cdfs: the tables.
            into: the list that symbols are appended to and that is returned, for ids that depend on them.

        Raises:
            CorruptPayload: the bytes cannot have come from the encoder.
        """
        code, size, data, position = self._code, self._size, self._data, self._position
        symbols: list[int] = [] if into is None else into
        end = len(data)
        for table_id in table_ids:
            cdf = cdfs[table_id]
            step = size >> PROBABILITY_BITS
            target = code // step
            if target > _LAST_TARGET:
                raise CorruptPayload(f"code value outside every symbol after {len(symbols)} symbols")
            symbol = bisect_right(cdf, target) - 1
            start = cdf[symbol]
            code -= step * start
            size = step * (cdf[symbol + 1] - start)
            symbols.append(symbol)
            while size < _SIZE_MIN:
                if position == end:
                    raise CorruptPayload(f"payload of {self._payload_bytes} bytes ends too early")
                code = (code << 8) | data[position]
                position += 1
                size <<= 8
        self._code, self._size, self._position = code, size, position
        return symbols

    def finish(self) -> None:
        """Check, after the last symbol, that the payload is exactly as long as its symbols need.

        Raises:
            CorruptPayload: bytes are left over, or trailing zero bytes were sent that should be implied.
        """
        spare = self._payload_bytes - self._position
        if spare > 0:
            raise CorruptPayload(f"{spare} bytes left over after the last symbol")
        may_be_zero = self._payload_bytes <= max(0, self._position - IMPLIED_ZERO_BYTES)
        if not may_be_zero and self._data[self._payload_bytes - 1] == 0:
            raise CorruptPayload("payload is not in its shortest form (ends in a zero byte)")


_BIT_CDF = (0, _HALF, PROBABILITY_TOTAL)
