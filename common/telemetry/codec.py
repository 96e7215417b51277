"""Records to the data of a telemetry message and back: packed, then a zstd frame with the bundle's dictionary."""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

from common.errors import BundleCorrupt, CorruptPayload, Oversize
from common.stream.limits import LIMITS
from common.stream.messages import Telemetry
from common.telemetry.batch import pack_batch, unpack_batch
from common.telemetry.record import MAX_PLAIN_BYTES, Record

LEVEL = 19
_MAGIC = b"\x28\xb5\x2f\xfd"


class ForeignDictionary(CorruptPayload):
    """A frame needs another dictionary than the one at hand; with that one it may be good."""

    def __init__(self, got: int, want: int) -> None:
        self.got, self.want = got, want
        super().__init__(f"telemetry: needs dictionary {got}, the bundle's is {want}")


class TelemetryCodec:
    """Pack records into messages and unpack them; one thread at a time.

    Args:
        dictionary: content of the bundle's `telemetry.zdict`; None for a bundle without one.

    Raises:
        BundleCorrupt: it is no zstd dictionary.
    """

    def __init__(self, dictionary: bytes | None = None) -> None:
        kept = None
        if dictionary is not None:
            kept = zstandard.ZstdCompressionDict(dictionary)
            if not kept.dict_id():
                raise BundleCorrupt("telemetry.zdict", "not a zstd dictionary")
            try:
                kept.precompute_compress(level=LEVEL)
            except zstandard.ZstdError as why:
                raise BundleCorrupt("telemetry.zdict", str(why)) from why
        self.dictionary_id = kept.dict_id() if kept else 0
        # Four bytes of checksum: without them a flipped bit may come out as another number.
        self._compressors = [zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)]
        if kept is not None:
            self._compressors.append(
                zstandard.ZstdCompressor(level=LEVEL, dict_data=kept, write_checksum=True)
            )
        self._decompressor = zstandard.ZstdDecompressor(dict_data=kept)
        self._plain = zstandard.ZstdDecompressor()

    def pack(self, kind: str, records: Sequence[Record]) -> Telemetry:
        """Return the message of records of one kind; a lone one that does not shrink travels as it is.

        Raises:
            Oversize: the message would exceed the wire's limit.
            ValueError: there is no record, there are too many, or their numbers do not increase.
        """
        first = records[0]
        if sum(len(record.data) for record in records) > MAX_PLAIN_BYTES // 2:  # leaves room for the columns
            raise Oversize(sum(len(record.data) for record in records), MAX_PLAIN_BYTES // 2)
        data, compressed = self.compress(pack_batch(records)), True
        if len(records) == 1 and 0 < len(first.data) <= len(data):
            data, compressed = first.data, False
        if len(data) > LIMITS.max_telemetry_bytes:
            raise Oversize(len(data), LIMITS.max_telemetry_bytes)
        return Telemetry(first.seq, first.capture_ns, kind, data, compressed)

    def unpack(self, message: Telemetry) -> list[Record]:
        """Return the records of a message, at least one.

        Raises:
            CorruptPayload: its data is nothing that `pack` could have made with this dictionary.
        """
        if not message.compressed:
            return [Record(message.seq, message.capture_ns, message.data)]
        return unpack_batch(self.decompress(message.data), message.seq, message.capture_ns)

    def compress(self, data: bytes) -> bytes:
        """Return one zstd frame that states its size and carries a checksum.

        The dictionary is used where it helps: it does not with records unlike those it was trained on.
        """
        return min((compressor.compress(data) for compressor in self._compressors), key=len)

    def decompress(self, data: bytes) -> bytes:
        """Return the content of one zstd frame; what it announces is checked before anything is allocated.

        Raises:
            ForeignDictionary: it needs another one; a kind of CorruptPayload.
            CorruptPayload: it is no whole frame, or of unknown or too large size.
        """
        try:
            facts = zstandard.get_frame_parameters(data)
        except zstandard.ZstdError as why:
            raise CorruptPayload(f"telemetry: {why}") from why
        if data[:4] != _MAGIC:  # a skippable frame has parameters, too
            raise CorruptPayload("telemetry: not a zstd frame")
        if not 0 < facts.content_size <= MAX_PLAIN_BYTES or facts.window_size > MAX_PLAIN_BYTES:
            raise CorruptPayload(
                f"telemetry: a frame of {facts.content_size} bytes and a window of {facts.window_size} "
                f"(allowed: {MAX_PLAIN_BYTES})"
            )
        if facts.dict_id not in (0, self.dictionary_id):
            raise ForeignDictionary(facts.dict_id, self.dictionary_id)
        decompressor = self._decompressor if facts.dict_id else self._plain
        try:
            return decompressor.decompress(data, max_output_size=MAX_PLAIN_BYTES, allow_extra_data=False)
        except zstandard.ZstdError as why:
            raise CorruptPayload(f"telemetry: {why}") from why
