"""Read containers, packets and payloads, slowly, from proto/BITSTREAM.md alone.

This reader shares no line with `common/`: only the standard library, whole numbers and the specification. It
exists to show that the text is enough, and to disagree when the program drifts from it.

    python tests/vectors/reference_reader.py FILE.mdic    print what the container and its packet say
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from reference_levels import nested, predictions, read_levels


class Refused(Exception):
    """Bytes that the specification says to refuse; `verdict` is the error's name there."""

    def __init__(self, verdict: str) -> None:
        super().__init__(verdict)
        self.verdict = verdict


def checksum(data: bytes) -> int:
    """Section 1: CRC-32C, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def number(data: bytes, offset: int, width: int) -> int:
    """Section 1: little endian."""
    return sum(data[offset + place] << (8 * place) for place in range(width))


def read_container(data: bytes, loaded_bundle: str, limit: int = 1 << 20) -> tuple[dict[str, Any], bytes]:
    """Section 2: the session's facts and the packet's bytes."""
    if not b"MDIC".startswith(data[:4]):
        raise Refused("BadMagic")
    if len(data) >= 5 and data[4] != 1:
        raise Refused("UnknownVersion")
    if len(data) < 26:
        raise Refused("Truncated")
    if number(data, 22, 4) != checksum(data[:22]):
        raise Refused("ChecksumMismatch")
    height, width, size = number(data, 6, 2), number(data, 8, 2), number(data, 18, 4)
    if data[5] != 0 or not 64 <= height <= 4096 or not 64 <= width <= 4096 or size < 3:
        raise Refused("FieldOutOfRange")
    if size > limit or len(data) > 26 + size:
        raise Refused("Oversize")
    if len(data) < 26 + size:
        raise Refused("Truncated")
    bundle_id = data[10:18].hex()
    if bundle_id != loaded_bundle:
        raise Refused("ForeignBundle")
    return {"bundle_id": bundle_id, "height": height, "width": width}, data[26:]


def read_packet(data: bytes, session: dict[str, Any], limit: int = 1 << 20) -> dict[str, Any]:
    """Section 4: header, extension, payload."""
    if len(data) > limit:
        raise Refused("Oversize")
    if data and data[0] // 16 != 1:
        raise Refused("UnknownVersion")
    if len(data) < 3:
        raise Refused("Truncated")
    covered = bytes.fromhex(session["bundle_id"])
    for side in (session["height"], session["width"]):
        covered += bytes((side % 256, side // 256))
    if number(data, 1, 2) != checksum(covered + data[:1] + data[3:]) % 65536:
        raise Refused("ChecksumMismatch")
    packet: dict[str, Any] = {"quality": data[0] // 2 % 8, "flags": 0, "sections": []}
    at = 3
    if data[0] % 2:
        at = _read_extension(data, packet)
    packet["payload"] = data[at:].hex()
    return packet


def _read_extension(data: bytes, packet: dict[str, Any]) -> int:
    """Section 4.2: flags and sections into `packet`; returns where the payload starts."""
    queue = list(data[3:])

    def take() -> int:
        if not queue:
            raise Refused("Truncated")
        return queue.pop(0)

    packet["flags"] = take()
    if packet["flags"] >= 16:
        raise Refused("FieldOutOfRange")
    while (kind := take()) != 0:
        if kind >= 128:
            raise Refused("UnknownSection")
        if len(packet["sections"]) == 64:
            raise Refused("Oversize")
        groups = [take()]
        while groups[-1] >= 128:
            if len(groups) == 3:
                raise Refused("CorruptPayload")
            groups.append(take())
        if len(groups) > 1 and groups[-1] == 0:
            raise Refused("CorruptPayload")
        length = sum(group % 128 << (7 * place) for place, group in enumerate(groups))
        content = bytes(take() for _ in range(length))
        packet["sections"].append({"type": kind, "data": content.hex()})
    if not packet["flags"] and not packet["sections"]:
        raise Refused("CorruptPayload")
    return len(data) - len(queue)


class SlowDecoder:
    """Section 6: the range decoder, holding the whole payload as one number.

    Instead of a 32-bit window that moves, the interval grows by a factor of 256 and is compared with as many
    bytes of the payload as have been read.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.low, self.size, self.read = 0, 2**32 - 1, 4

    def target_number(self) -> int:
        """Return the first `read` bytes as a number, zeros after the end."""
        if self.read > len(self.payload) + 16:
            raise Refused("CorruptPayload")
        return int.from_bytes((self.payload + bytes(16))[: self.read], "big")

    def symbol(self, table: list[int]) -> int:
        """Decode one symbol."""
        step = self.size // 65536
        target = (self.target_number() - self.low) // step
        if target >= 65536:
            raise Refused("CorruptPayload")
        found = next(index for index in range(len(table) - 1) if table[index] <= target < table[index + 1])
        self.low += step * table[found]
        self.size = step * (table[found + 1] - table[found])
        while self.size < 2**24:
            self.low, self.size, self.read = self.low * 256, self.size * 256, self.read + 1
            self.target_number()
        return found

    def bit(self) -> int:
        """Decode a plain bit."""
        return self.symbol([0, 32768, 65536])

    def segment(self, tables: list[list[int]], limit: int) -> list[int]:
        """Decode one symbol from each table, then the escapes."""
        symbols = [(self.symbol(table), (len(table) - 3) // 2) for table in tables]
        return [
            self.escape(most, limit) if symbol == 2 * most + 1 else symbol - most for symbol, most in symbols
        ]

    def escape(self, most: int, limit: int) -> int:
        """Decode a value outside the table."""
        zeros = 0
        while not self.bit():
            zeros += 1
            if zeros > 16:
                raise Refused("CorruptPayload")
        excess = 2**zeros
        for place in range(zeros - 1, -1, -1):
            excess += self.bit() << place
        if most + excess > limit:
            raise Refused("CorruptPayload")
        return -(most + excess) if self.bit() else most + excess

    def finish(self) -> None:
        """Check the payload's length."""
        ends_in_zero = self.payload[-1:] == b"\0" and len(self.payload) > self.read - 16
        if len(self.payload) > self.read or ends_in_zero:
            raise Refused("CorruptPayload")


Planes = list[list[list[int]]]


def convolve(planes: Planes, weights: Any, bias: list[int]) -> Planes:
    """Section 7: 3x3 with zeros around."""
    height, width = len(planes[0]), len(planes[0][0])

    def at(kernels: Any, row: int, column: int) -> int:
        return sum(
            kernels[i][dy][dx] * planes[i][row + dy - 1][column + dx - 1]
            for i in range(len(planes))
            for dy in range(3)
            for dx in range(3)
            if 0 <= row + dy - 1 < height and 0 <= column + dx - 1 < width
        )

    return [
        [[at(kernels, row, column) + bias[o] for column in range(width)] for row in range(height)]
        for o, kernels in enumerate(weights)
    ]


def activate(planes: Planes, divisor: int) -> Planes:
    """Section 7: round, divide, clip."""
    return [[[min(255, max(0, (v + divisor // 2) // divisor)) for v in row] for row in p] for p in planes]


def shuffle(planes: Planes) -> Planes:
    """Section 7: four channels become one of twice the size."""
    height, width = len(planes[0]), len(planes[0][0])
    return [
        [
            [planes[4 * c + 2 * (row % 2) + column % 2][row // 2][column // 2] for column in range(2 * width)]
            for row in range(2 * height)
        ]
        for c in range(len(planes) // 4)
    ]


def coded_view(
    quality: int, session: dict[str, Any], resampling: list[dict[str, Any]]
) -> tuple[int, dict[str, int], dict[str, int]]:
    """Section 3.1: the codec's quality, height and width of what is coded, and what else a table says."""
    size = {side: int(session[side]) for side in ("height", "width")}
    for table in resampling:
        if size["height"] * size["width"] <= table["pixels"]:
            halves = table["scale"][quality]
            coded = {side: (v * halves + 1) // 2 for side, v in size.items()}
            more = {key: table[key][quality] for key in ("waves", "contexts") if key in table}
            return table["quality"][quality], coded, more
    return quality, size, {}


def read_payload(
    payload: str,
    quality: int,
    session: dict[str, int],
    tables: dict[str, Any],
    waves: int | None = None,
    contexts: int | None = None,
) -> dict[str, list[int]]:
    """Section 5: z and y as flat lists; where there are a refinement and an illumination, those too."""
    row = -1
    if waves is None and "light_count" in tables:
        waves = tables["light_count"]["data"][quality]
    if "refine_step" in tables:
        row, quality = tables["refine_row"]["data"][quality], tables["refine_latents"]["data"][quality]
    rows, columns = (-(-session[side] // 64) for side in ("height", "width"))
    z_tables = nested(tables, "z_cdf")[quality]
    if contexts is not None:
        z_tables = [cumulative(freqs) for freqs in nested(tables, "context_z")[contexts]]
    decoder = SlowDecoder(bytes.fromhex(payload))
    z = decoder.segment([table for table in z_tables for _ in range(rows * columns)], 127)
    planes = [
        [z[(c * rows + row) * columns : (c * rows + row + 1) * columns] for row in range(rows)]
        for c in range(len(z_tables))
    ]
    a = activate(convolve(planes, nested(tables, "w1"), nested(tables, "b1")[quality]), 4)
    a = shuffle(activate(convolve(a, nested(tables, "w2"), nested(tables, "b2")), 64))
    a = shuffle(activate(convolve(a, nested(tables, "w3"), nested(tables, "b3")), 64))
    last = convolve(a, nested(tables, "w4"), nested(tables, "b4")[quality])
    raw = [v for plane in last[len(last) // 2 :] for row in plane for v in row]
    indices = [min(63, max(0, (v + 64) // 128)) for v in raw]
    skip = tables["skip_index"]["data"][0]
    y_tables = nested(tables, "y_cdf")
    if contexts is None:
        coded = iter(decoder.segment([y_tables[index] for index in indices if index > skip], 65535))
    else:
        shape, chosen = (4 * rows, 4 * columns), nested(tables, "context_y")[contexts]
        coded = iter(in_context(decoder, [index > skip for index in indices], shape, chosen))
    y = [next(coded) if index > skip else 0 for index in indices]
    found = {"z": z, "y": y}
    if row >= 0:
        means = [(v + 32) // 64 for plane in last[: len(last) // 2] for line in plane for v in line]
        sixteenths = [16 * residual + mean for residual, mean in zip(y, means, strict=True)]
        shape = (4 * rows, 4 * columns)
        found["levels"] = read_levels(decoder, shape, row, tables)
        found["mean"] = predictions(sixteenths, shape, row, tables)
    if "light_count" in tables:
        found["light"] = decoder.segment(nested(tables, "light_cdf")[:waves], 65535)
    decoder.finish()
    return found


def cumulative(freqs: list[int]) -> list[int]:
    """Section 5.3: the table with these frequencies."""
    return [sum(freqs[:count]) for count in range(len(freqs) + 1)]


def in_context(decoder: SlowDecoder, coded: list[bool], shape: tuple[int, int], freqs: Any) -> list[int]:
    """Section 5.3: the values of the coded positions."""
    most = len(freqs[0][0]) // 2 - 1
    symbols: dict[tuple[int, int, int], int] = {}

    def digit(*position: int) -> int:
        symbol = symbols.get(position, most)
        return 0 if symbol < most else 1 if symbol == most else 2

    for index, is_coded in enumerate(coded):
        c, i, j = index // (shape[0] * shape[1]), index // shape[1] % shape[0], index % shape[1]
        if is_coded:
            row = 9 * digit(c, i, j - 1) + 3 * digit(c, i - 1, j) + digit(c, i - 1, j + 1)
            symbols[c, i, j] = decoder.symbol(cumulative(freqs[c][row]))
    return [
        decoder.escape(most, 65535) if symbol == 2 * most + 1 else symbol - most
        for symbol in symbols.values()
    ]


def read(data: bytes, meaning: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    """Read a vector to the end: the container if it is one, the packet, the payload."""
    session = meaning.get("session", {})
    if meaning["kind"] == "container":
        session, data = read_container(data, meaning["loaded_bundle"])
    packet = read_packet(data, session)
    quality, size, more = coded_view(packet["quality"], session, meaning.get("resampling", []))
    return {"session": session, **packet, **read_payload(packet["payload"], quality, size, tables, **more)}


if __name__ == "__main__":
    blob = Path(sys.argv[1]).read_bytes()
    facts, inner = read_container(blob, blob[10:18].hex())
    print(json.dumps({**facts, **read_packet(inner, facts)}))
