"""Fuzz containers, packets, sections, latents and the range decoder (proto/BITSTREAM.md).

The first byte says what the rest is. Random bytes never get past a checksum, so half of the kinds have theirs
put right first. Frames are small: the time to decode is that of the latents, whatever the payload.
"""

from __future__ import annotations

import functools
import json

import harness

with harness.instrumented():
    import numpy as np

    from common.bitstream import Container, Packet, SessionFacts
    from common.bitstream.checksum import crc32c
    from common.bitstream.packet import packet_checksum
    from common.bundle import Bundle
    from common.entropy import LatentCodec
    from common.entropy.coder import PROBABILITY_TOTAL, RangeDecoder
    from common.entropy.contexts import LIMIT as Y_LIMIT
    from common.entropy.tables import decode_escape
    from common.errors import MdicError
from common.resampling import CodedView

NAME = "bitstream"
CONTAINER, SEALED_CONTAINER, PACKET, SEALED_PACKET, LATENTS, SYMBOLS = range(6)
SESSION = SessionFacts(b"bundleid", 64, 64)
SIZES = ((4, 4), (4, 8), (8, 16))
MAX_LATENTS = 8 * 16
IN_CONTEXT = 0x80
"""In the byte of choices: with context tables."""
_HEADER, _HEADER_CHECKED = 26, 22


@functools.cache
def codec(shipped: bool) -> LatentCodec:
    """Return a codec with the shipped bundle's tables, or with the golden vectors' synthetic ones."""
    if shipped:
        return LatentCodec.from_bundle_file(Bundle.load().file("entropy.safetensors"))
    stored = json.loads((harness.ROOT / "tests" / "vectors" / "v1" / "tables-context.json").read_text())
    return LatentCodec({n: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for n, v in stored.items()})


def run(data: bytes) -> bool:
    """Read `data` as what its first byte says; True when it was accepted to the end."""
    if not data:
        return False
    kind, rest = data[0] % 6, data[1:]
    try:
        if kind in (CONTAINER, SEALED_CONTAINER):
            read_container(rest if kind == CONTAINER else seal_container(rest))
        elif kind in (PACKET, SEALED_PACKET):
            read_packet(rest if kind == PACKET else seal_packet(rest, SESSION), SESSION)
        elif kind == LATENTS:
            read_latents(rest)
        else:
            read_symbols(rest)
    except MdicError:
        return False
    return True


def read_container(data: bytes) -> None:
    """Read a file to its latents; what is accepted has this one form only."""
    container = Container.parse(data)
    assert container.serialize() == data
    read_packet(container.packet, container.session)


def read_packet(data: bytes, session: SessionFacts) -> None:
    """Read a packet to its latents; what is accepted has this one form only."""
    packet = Packet.parse(data, session)
    assert packet.serialize(session) == data
    view = CodedView(session.height, session.width, packet.quality)
    if view.latent_height * view.latent_width <= MAX_LATENTS:
        decode(packet.payload, view.quality, view.latent_height, view.latent_width, shipped=False)


def read_latents(data: bytes) -> None:
    """Read a byte of choices and a payload."""
    if data:
        height, width = SIZES[(data[0] >> 4 & 7) % len(SIZES)]
        in_context = bool(data[0] & IN_CONTEXT)
        decode(data[1:], data[0] & 7, height, width, shipped=bool(data[0] & 8), in_context=in_context)


def decode(
    payload: bytes, quality: int, height: int, width: int, shipped: bool, in_context: bool = False
) -> None:
    """Decode latents and check that they are numbers within their bounds."""
    tables = codec(shipped)
    which = quality % tables.contexts.sets if in_context and tables.contexts is not None else None
    y_hat, symbols = tables.decode(payload, quality, height, width, contexts=which)
    assert np.isfinite(y_hat).all()
    assert int(np.abs(symbols.z).max()) <= 127
    assert int(np.abs(symbols.y).max()) <= Y_LIMIT


def read_symbols(data: bytes) -> None:
    """Read a drawn table, then symbols and escapes until the payload gives out."""
    if len(data) < 3:
        return
    inner = sorted({1 + int.from_bytes(data[i : i + 2], "big") % (PROBABILITY_TOTAL - 1) for i in (0, 1)})
    decoder = RangeDecoder(data[3:])
    for _ in range(1 + data[2] % 64):
        if decoder.decode([0, *inner, PROBABILITY_TOTAL]) == len(inner):
            assert abs(decode_escape(decoder, data[2] % 8, Y_LIMIT)) <= Y_LIMIT
    decoder.finish()


def seal_container(data: bytes) -> bytes:
    """Return `data` with the lengths and checksums of a container made right where it is long enough."""
    if len(data) < _HEADER + 3:
        return data
    header = bytearray(data[:_HEADER])
    header[18:22] = (len(data) - _HEADER).to_bytes(4, "little")
    header[_HEADER_CHECKED:] = crc32c(bytes(header[:_HEADER_CHECKED])).to_bytes(4, "little")
    packet = data[_HEADER:]
    try:
        session = Container.parse(bytes(header) + packet).session
    except MdicError:
        return bytes(header) + packet
    return bytes(header) + seal_packet(packet, session)


def seal_packet(data: bytes, session: SessionFacts) -> bytes:
    """Return `data` with the checksum that a packet of `session` needs."""
    if len(data) < 3:
        return data
    return data[:1] + packet_checksum(session, data[0], data[3:]).to_bytes(2, "little") + data[3:]


if __name__ == "__main__":
    harness.main(NAME, run)
