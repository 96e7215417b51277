"""Define the golden vectors: what each file holds and what a reader must make of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from synthetic_tables import Lcg, lit_arrays, refined_arrays, synthetic_arrays

from common.bitstream import Container, Packet, Section, SessionFacts
from common.bitstream.checksum import crc32c
from common.bitstream.packet import packet_checksum
from common.entropy import LatentCodec, coder
from common.entropy.latents import sixteenths
from common.resampling import CodedView

BUNDLE = bytes.fromhex("6d64696320763101")
OTHER_BUNDLE = bytes.fromhex("ffeeddccbbaa9988")
CODEC = LatentCodec(synthetic_arrays())
REFINED = LatentCodec(refined_arrays())
LIT = LatentCodec(lit_arrays())
RESAMPLING = [
    {"pixels": 4096, "scale": [2, 2, 2, 2, 2, 4, 4, 4], "quality": [0, 1, 2, 3, 4, 2, 3, 7]},
    {"pixels": 16384, "scale": [2] * 8, "quality": [0, 1, 2, 3, 4, 5, 6, 7]},
    {"pixels": 16777216, "scale": [1, 1, 2, 2, 2, 2, 2, 2], "quality": [1, 3, 2, 3, 4, 5, 6, 7]},
]
COUNTED = [{"pixels": 4096, "scale": [2] * 8, "quality": list(range(8)), "waves": [5, 4, 2, 3, 0, 1, 5, 5]}]


@dataclass(frozen=True)
class Case:
    """Hold one vector: the bytes and the JSON that goes beside them."""

    name: str
    data: bytes
    meaning: dict[str, Any]


class _CarryWatch:
    """Note whether a carry ran through a byte of 0xFF while the codec encodes."""

    def __enter__(self) -> _CarryWatch:
        self.rippled = False
        self._original = coder._propagate_carry
        coder._propagate_carry = self._watch
        return self

    def _watch(self, written: bytearray) -> None:
        self.rippled |= written[-1] == 0xFF
        self._original(written)

    def __exit__(self, *_: object) -> None:
        coder._propagate_carry = self._original


def drawn_payload(session: SessionFacts, quality: int, lcg: Lcg | None, ratio: int, fixed: int = 0) -> Any:
    """Return the LatentPayload of drawn symbols (or of `fixed` everywhere, without a generator)."""
    view = CodedView(session.height, session.width, quality)
    shape = (CODEC.hyper_channels, view.latent_height // 4, view.latent_width // 4)
    z = np.full(shape, min(fixed, 127), dtype=np.int32)
    if lcg is not None:
        z = np.array([lcg.geometric(150, 9) for _ in range(z.size)], dtype=np.int32).reshape(shape)
    mean_q, _ = CODEC.hyper.run(z, quality)
    s = np.full(mean_q.shape, fixed, dtype=np.int32)
    if lcg is not None:
        s = np.array([lcg.geometric(ratio, 70000) for _ in range(s.size)], dtype=np.int32).reshape(s.shape)
    y = s.astype(np.float32) + mean_q.astype(np.float32) / np.float32(16)
    return CODEC.encode(y, z.astype(np.float32), quality)


def _refined(session: SessionFacts, quality: int, lcg: Lcg, ratio: int) -> Any:
    """Return the LatentPayload of drawn latents and drawn levels."""
    prior, refinement = REFINED.latent_quality(quality), REFINED.refinement
    assert refinement is not None
    latent = drawn_payload(session, prior, lcg, 90)
    y, z = latent.y_hat, latent.symbols.z.astype(np.float32)
    blocks = y.shape[1:]
    # A level of zero everywhere tells the steps and the prediction that coefficients are relative to.
    flat = refinement.quantise(np.zeros((*blocks, 16, 16), np.float32), quality, sixteenths(y))
    levels = np.array([lcg.geometric(ratio, 70000) for _ in range(flat.levels.size)]).reshape(
        flat.levels.shape
    )
    x = (levels + 0.25 * np.sign(levels)) * flat.steps
    x[:, :, 0, 0] += flat.mean
    return REFINED.encode(y, z, quality, x.astype(np.float32))


def _lit(session: SessionFacts, quality: int, lcg: Lcg, ratio: int, waves: int | None = None) -> Any:
    """Return the LatentPayload of drawn latents and drawn waves, of a quality without luma coefficients."""
    assert LIT.illumination is not None
    latent = drawn_payload(session, quality, lcg, 90)
    levels = np.array([lcg.geometric(ratio, 70000) for _ in LIT.illumination.waves])
    arrays = lit_arrays()
    light = (arrays["light_mean"] + (levels + 0.25) * arrays["light_step"]) / 4096
    return LIT.encode(latent.y_hat, latent.symbols.z.astype(np.float32), quality, light=light, waves=waves)


def good(name: str, comment: str, session: SessionFacts, quality: int, latent: Any, **more: Any) -> Case:
    """Return a vector that decodes, as a container unless `kind` says packet."""
    kind, resampling = more.pop("kind", "container"), more.pop("resampling", None)
    tables = more.pop("tables", None)
    packet = Packet(quality, latent.payload, **more)
    serialized = packet.serialize(session)
    data = Container(session, serialized).serialize() if kind == "container" else serialized
    meaning = {
        "comment": comment,
        "expect": "ok",
        "kind": kind,
        "loaded_bundle": BUNDLE.hex(),
        "session": _facts(session),
        "quality": quality,
        "flags": packet.flags,
        "sections": [{"type": s.type, "data": s.data.hex()} for s in packet.sections],
        "payload": latent.payload.hex(),
        "z_shape": list(latent.symbols.z.shape),
        "z": latent.symbols.z.ravel().tolist(),
        "y_shape": list(latent.symbols.y.shape),
        "y": latent.symbols.y.ravel().tolist(),
    }
    meaning |= {"resampling": resampling} if resampling else {}
    meaning |= {"tables": tables} if tables else {}
    if latent.symbols.refinement is not None:
        meaning["tables"] = "tables-refined"
        meaning["levels_shape"] = list(latent.symbols.refinement.levels.shape)
        meaning["levels"] = latent.symbols.refinement.levels.ravel().tolist()
        meaning["mean"] = np.rint(latent.symbols.refinement.mean * 1024).astype(int).ravel().tolist()
    if latent.symbols.illumination is not None:
        meaning["tables"] = "tables-lit"
        meaning["light"] = latent.symbols.illumination.levels.tolist()
    return Case(name, data, meaning)


def bad(name: str, comment: str, expect: str, data: bytes, session: SessionFacts | None = None) -> Case:
    """Return a vector that must be refused: a container, or a packet where a session is given."""
    meaning: dict[str, Any] = {"comment": comment, "expect": expect}
    meaning["kind"] = "packet" if session else "container"
    meaning["loaded_bundle"] = BUNDLE.hex()
    if session:
        meaning["session"] = _facts(session)
    return Case(f"bad/{name}", data, meaning)


def _bad_refined(name: str, comment: str, payload: bytes, session: SessionFacts) -> Case:
    """Return a packet of a refined quality that must be refused."""
    case = bad(name, comment, "CorruptPayload", Packet(6, payload).serialize(session), session)
    case.meaning["tables"] = "tables-refined"
    return case


def _facts(session: SessionFacts) -> dict[str, Any]:
    return {"bundle_id": session.bundle_id.hex(), "height": session.height, "width": session.width}


def good_cases() -> Iterator[Case]:
    """Yield the vectors that decode."""
    tiny, wide = SessionFacts(BUNDLE, 64, 64), SessionFacts(BUNDLE, 128, 256)
    odd = SessionFacts(BUNDLE, 65, 131)
    zeros = drawn_payload(tiny, 0, None, 0)
    yield good("tiny-zeros-q0", "64x64, every symbol zero: the worked example", tiny, 0, zeros)
    for quality in range(8):
        latent = drawn_payload(tiny, quality, Lcg(100 + quality), 110)
        yield good(f"tiny-q{quality}", "each quality has its own biases and tables", tiny, quality, latent)
    yield good("wide-q3", "128x256", wide, 3, drawn_payload(wide, 3, Lcg(7), 130))
    yield good("odd-q5", "65x131 is padded to 128x192", odd, 5, drawn_payload(odd, 5, Lcg(8), 130))
    packet = drawn_payload(wide, 4, Lcg(9), 100)
    yield good("packet-q4", "a bare packet, its facts from the session", wide, 4, packet, kind="packet")
    yield good("escapes-q6", "many values outside the tables", tiny, 6, drawn_payload(tiny, 6, Lcg(10), 240))
    huge = drawn_payload(tiny, 7, None, 0, fixed=60000)
    yield good("escapes-huge-q7", "z clipped to 127, every coded residual 60000", tiny, 7, huge)
    first = drawn_payload(wide, 2, None, 0, fixed=-7)
    yield good(
        "implied-zeros-q2",
        "each symbol the first of its table: only 16 zero bytes are implied",
        wide,
        2,
        first,
    )
    for seed in range(1000, 3000):
        with _CarryWatch() as watch:
            latent = drawn_payload(wide, 1, Lcg(seed), 150)
        if watch.rippled:
            yield good("carry-q1", "a carry runs through a byte of 0xff", wide, 1, latent)
            break
    for name, comment, session, quality, seed, ratio in (
        ("refined-tiny-q6", "luma coefficients after the latents of quality 5", tiny, 6, 40, 60),
        ("refined-odd-q7", "more of them, in a frame that is padded", odd, 7, 41, 90),
        ("refined-escapes-q7", "many levels outside the tables", tiny, 7, 42, 220),
    ):
        yield good(name, comment, session, quality, _refined(session, quality, Lcg(seed), ratio))
    for name, comment, session, quality, seed, ratio in (
        ("lit-tiny-q3", "five waves behind the latents", tiny, 3, 60, 120),
        ("lit-odd-q1", "two of them, in a frame that is padded", odd, 1, 65, 160),
        ("lit-none-q0", "a quality that carries none", tiny, 0, 62, 120),
        ("lit-escapes-q5", "waves outside the tables", tiny, 5, 63, 245),
    ):
        yield good(name, comment, session, quality, _lit(session, quality, Lcg(seed), ratio))
    for name, comment, session, quality, coded, at, seed in (
        ("doubled-q5", "64x64, coded as 128x128 at quality 2", tiny, 5, (128, 128), 2, 50),
        ("resampled-not-q5", "65x131, coded as it is", odd, 5, (65, 131), 5, 51),
        (
            "halved-q1",
            "131x256, coded as 66x128 at quality 3",
            SessionFacts(BUNDLE, 131, 256),
            1,
            (66, 128),
            3,
            52,
        ),
    ):
        latent = drawn_payload(SessionFacts(BUNDLE, *coded), at, Lcg(seed), 110)
        yield good(name, comment, session, quality, latent, resampling=RESAMPLING)
    for name, comment, quality, waves, seed in (
        ("counted-q3", "three waves, as the table says, where the quality has five", 3, 3, 66),
        ("counted-none-q4", "none", 4, 0, 67),
    ):
        latent = _lit(tiny, quality, Lcg(seed), 120, waves)
        yield good(name, comment, tiny, quality, latent, resampling=COUNTED)
    optional = (Section(1, b""), Section(127, bytes(range(200))))
    yield good(
        "sections-q2", "optional sections of unknown types", tiny, 2, zeros_at(tiny, 2), sections=optional
    )
    yield good("flags-q2", "an optional flag, no section", tiny, 2, zeros_at(tiny, 2), flags=0x05)


def zeros_at(session: SessionFacts, quality: int) -> Any:
    """Return the LatentPayload of all zeros at a quality."""
    return drawn_payload(session, quality, None, 0)


def _seal(session: SessionFacts, first: int, body: bytes) -> bytes:
    """Return a packet with a right checksum around whatever it is given."""
    return struct.pack("<BH", first, packet_checksum(session, first, body)) + body


def _seal_header(data: bytes, offset: int, new: bytes) -> bytes:
    """Return a container with bytes of its header replaced and the header's checksum put right."""
    header = bytearray(data[:22])
    header[offset : offset + len(new)] = new
    return bytes(header) + struct.pack("<I", crc32c(bytes(header))) + data[26:]


def bad_containers() -> Iterator[Case]:
    """Yield containers that must be refused."""
    session = SessionFacts(BUNDLE, 64, 64)
    data = Container(
        session, Packet(3, drawn_payload(session, 3, Lcg(20), 110).payload).serialize(session)
    ).serialize()
    yield bad("empty", "no bytes at all", "Truncated", b"")
    yield bad("truncated-header", "25 of the header's 26 bytes", "Truncated", data[:25])
    yield bad("truncated-packet", "the last byte is missing", "Truncated", data[:-1])
    yield bad("magic", "another kind of file", "BadMagic", b"\x89PNG" + data[4:])
    yield bad("container-version", "version 2", "UnknownVersion", data[:4] + b"\x02" + data[5:])
    flipped = bytes((data[6] ^ 1,))
    yield bad("header-checksum", "one bit of the height", "ChecksumMismatch", data[:6] + flipped + data[7:])
    yield bad("reserved", "the reserved byte is set", "FieldOutOfRange", _seal_header(data, 5, b"\x01"))
    yield bad("zero-height", "height 0", "FieldOutOfRange", _seal_header(data, 6, b"\0\0"))
    yield bad("huge-width", "width 65535", "FieldOutOfRange", _seal_header(data, 8, b"\xff\xff"))
    yield bad("short-packet", "a packet of 2 bytes", "FieldOutOfRange", _seal_header(data, 18, b"\2\0\0\0"))
    yield bad("oversize", "4 GiB announced", "Oversize", _seal_header(data, 18, b"\xff\xff\xff\xff"))
    yield bad("trailing-byte", "a byte after the packet", "Oversize", data + b"\0")
    yield bad(
        "foreign-bundle", "made with another bundle", "ForeignBundle", _seal_header(data, 10, OTHER_BUNDLE)
    )
    wrong = data[:-1] + bytes((data[-1] ^ 0x10,))
    yield bad("packet-checksum", "one bit of the payload", "ChecksumMismatch", wrong)


def bad_packets() -> Iterator[Case]:
    """Yield bare packets that must be refused."""
    session = SessionFacts(BUNDLE, 64, 64)
    payload = drawn_payload(session, 3, Lcg(20), 110).payload
    good = Packet(3, payload).serialize(session)
    plain, extended = 0x16, 0x17  # version 1, quality 3
    truncated = Packet(3, b"").serialize(session)[:2]
    yield bad("packet-truncated", "2 of the header's 3 bytes", "Truncated", truncated, session)
    yield bad("packet-version", "version 2", "UnknownVersion", bytes((0x26,)) + good[1:], session)
    other_size = SessionFacts(BUNDLE, 64, 128)
    yield bad("packet-other-size", "made for 64x64, read as 64x128", "ChecksumMismatch", good, other_size)
    other_bundle = Packet(3, payload).serialize(SessionFacts(OTHER_BUNDLE, 64, 64))
    yield bad(
        "packet-other-bundle", "the checksum covers the bundle", "ChecksumMismatch", other_bundle, session
    )
    bodies = [
        ("extension-missing", "marked as extended, nothing follows", "Truncated", b""),
        ("extension-empty", "neither flag nor section", "CorruptPayload", b"\0\0" + payload),
        ("flag-mandatory", "a flag that must be understood", "FieldOutOfRange", b"\x80\0" + payload),
        ("section-mandatory", "type 128", "UnknownSection", b"\0\x80\0\0" + payload),
        ("section-truncated", "5 bytes announced, 1 there", "Truncated", b"\0\x01\x05x"),
        ("section-no-end", "no end mark", "Truncated", b"\0\x01\x01x"),
        ("section-length-long", "length 0 in two bytes", "CorruptPayload", b"\0\x01\x80\0\0"),
        ("section-length-huge", "a length of four bytes", "CorruptPayload", b"\0\x01\xff\xff\xff\x7f\0"),
        ("section-too-many", "65 sections", "Oversize", b"\0" + b"\x01\0" * 65 + b"\0" + payload),
    ]
    for name, comment, expect, body in bodies:
        yield bad(name, comment, expect, _seal(session, extended, body), session)
    payloads = [
        ("payload-zero-byte", "a trailing zero byte was sent", plain, payload + b"\0"),
        ("payload-long", "a byte left over after the last symbol", plain, payload + b"\x01\x01\x01\x01\x01"),
        ("payload-outside", "a code value outside every symbol", plain, b"\xff\xff\xff\xff"),
    ]
    for name, comment, first, body in payloads:
        yield bad(name, comment, "CorruptPayload", _seal(session, first, body), session)
    refined = _refined(session, 6, Lcg(40), 60).payload
    yield _bad_refined("refined-short", "the last bytes are missing", refined[: len(refined) // 2], session)
    yield _bad_refined("refined-long", "bytes left over after the last level", refined + b"\1" * 8, session)
    lit = bad(
        "lit-long",
        "bytes left over after the last wave",
        "CorruptPayload",
        Packet(3, _lit(session, 3, Lcg(60), 120).payload + b"\1" * 8).serialize(session),
        session,
    )
    lit.meaning["tables"] = "tables-lit"
    yield lit
    yield bad("payload-escape-prefix", *_long_escape(session), session)
    wide = SessionFacts(BUNDLE, 128, 256)
    short = Packet(4, drawn_payload(wide, 4, Lcg(9), 100).payload[:2]).serialize(wide)
    yield bad(
        "payload-short", "2 bytes of 118: more than 16 zeros would be implied", "CorruptPayload", short, wide
    )


def _long_escape(session: SessionFacts) -> tuple[str, str, bytes]:
    """Return a packet whose first residual's escape code never stops."""
    quality = 3
    encoder = coder.RangeEncoder()
    shape = (CODEC.hyper_channels, 1, 1)
    z = np.zeros(shape, dtype=np.int32)
    starts, freqs = CODEC._z_tables[quality].slices(np.arange(z.size), z.ravel())
    encoder.encode_many(starts.tolist(), freqs.tolist())
    ids = CODEC._prior(z, quality).table_ids
    starts, freqs = CODEC._y_tables.slices(ids, np.full(ids.shape, 1000))
    encoder.encode_many(starts.tolist(), freqs.tolist())
    encoder.encode_bits([0] * 17 + [1] * 40)
    return "17 leading zeros", "CorruptPayload", Packet(quality, encoder.finish()).serialize(session)


def all_cases() -> list[Case]:
    """Return every vector."""
    return [*good_cases(), *bad_containers(), *bad_packets()]
