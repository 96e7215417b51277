"""Write the seed corpus: golden vectors, valid messages, small images' headers, manifests.

    python tests/fuzz/seeds.py    write every seed into tests/fuzz/corpus (inputs found later are kept)

Seeds are named after what they hold. `found-*` inputs once broke something; they are added by hand and stay.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "tests" / "fakes")]

import cv2  # noqa: E402
import fuzz_bitstream as bitstream  # noqa: E402
import fuzz_imageheader as imageheader  # noqa: E402
import fuzz_messages as messages  # noqa: E402
import numpy as np  # noqa: E402
from fake_edge import hevc  # noqa: E402

from common.stream import messages as m  # noqa: E402
from common.stream.wire import serialize_downlink, serialize_uplink  # noqa: E402
from common.types import SideCodec, SideState  # noqa: E402

VECTORS = ROOT / "tests" / "vectors" / "v1"
BIG = (1 << 64) - 1
LARGEST_SEED_BYTES = 2048

MANIFEST = """format = 1
name = "tiny"
[codec]
latent_channels = 4
hyper_channels = 2
qualities = 8
stride = 16
pad_multiple = 64
[model]
entropy = "hyperprior"
threshold = 0.2
[files."a.bin"]
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
bytes = 3
"""


def bitstream_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield the golden vectors as they are and sealed, their payloads, and latents of the shipped bundle."""
    for path in sorted(VECTORS.rglob("*.bin")):
        data = path.read_bytes()
        if len(data) > LARGEST_SEED_BYTES:
            continue
        meaning = json.loads(path.with_suffix(".json").read_text())
        name = "-".join(path.relative_to(VECTORS).with_suffix("").parts)
        packet = meaning["kind"] == "packet"
        for kind in ("packet", "sealed_packet") if packet else ("container", "sealed_container"):
            yield f"{kind}-{name}", bytes((getattr(bitstream, kind.upper()),)) + data
        if not packet and len(data) > 29:
            yield f"sealed_packet-{name}", bytes((bitstream.SEALED_PACKET,)) + data[26:]
        if meaning.get("payload"):
            size = 2 if meaning["session"]["width"] == 256 else 0
            in_context = bitstream.IN_CONTEXT if "tables-context" in meaning.get("tables", "") else 0
            choice = bytes((bitstream.LATENTS, in_context | size << 4 | meaning["quality"]))
            yield f"latents-{name}", choice + bytes.fromhex(meaning["payload"])
    codec = bitstream.codec(shipped=True)
    light = np.zeros(len(codec.illumination.waves)) if codec.illumination is not None else None
    for quality in (0, 4, 7):
        rng = np.random.default_rng(quality)
        y = rng.normal(0, 2, (codec.latent_channels, 4, 4)).astype(np.float32)
        z = rng.normal(0, 2, (codec.hyper_channels, 1, 1)).astype(np.float32)
        choice = bytes((bitstream.LATENTS, 8 | quality))
        yield f"latents-shipped-q{quality}", choice + codec.encode(y, z, quality, light=light).payload
        if codec.contexts is not None:
            choice = bytes((bitstream.LATENTS, bitstream.IN_CONTEXT | 8 | quality))
            payload = codec.encode(y, z, quality, light=light, contexts=quality % codec.contexts.sets).payload
            yield f"latents-shipped-in-context-q{quality}", choice + payload
    yield "symbols", bytes((bitstream.SYMBOLS, 0x40, 0, 0xC0, 0, 20)) + bytes(range(7, 60))


def message_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield each kind of message with small and with extreme values."""
    stream_id = bytes(range(16))
    hello = m.Hello(
        "car-1",
        m.Role.BOTH,
        b"bundleid",
        375,
        1242,
        370,
        1226,
        SideCodec.JPEG,
        40,
        "kitti",
        stream_id=stream_id,
    )
    side_only = m.Hello("a.b", m.Role.SIDE, side_height=64, side_width=64, side_codec=SideCodec.HEVC)
    durable = m.Hello(
        "c", m.Role.MAIN, b"bundleid", 64, 64, mode=m.Mode.DURABLE, stream_id=stream_id, oldest_seq=7
    )
    uplink = {
        "hello": hello,
        "hello-side": side_only,
        "hello-durable": durable,
        "hello-later": m.Hello("c", m.Role.MAIN, b"bundleid", 64, 64, wire_version=9, deadline_ms=250),
        "main": m.MainFrame(7, 1_700_000_000_000_000_000, b"packet", 99),
        "main-big": m.MainFrame(BIG, BIG, b"p", (1 << 32) - 1),
        "side": m.SideFrame(7, 5, b"side"),
        "side-reference": m.SideFrame(7, 5, b"side", False, 6),
        "end": m.End(3, 4, m.DropCounts(1, 2, 3, 4, 5), m.DropCounts(late=BIG)),
        "ping": m.Ping(5, -3, 9),
        "telemetry": m.Telemetry(5, 6, "oxts", b"49.0 8.4", True),
    }
    downlink = {
        "welcome": m.Welcome("car-1-0a", 256),
        "welcome-held": m.Welcome("car-1-0a", 64, next_seq=5, held=((7, 9), (11, 11)), base_seq=3),
        "ack": m.Ack(7, m.Status.DECODED, SideState.EXACT, 5, 1.5, 0.25, cumulative=6),
        "ack-failed": m.Ack(BIG, m.Status.FAILED, None, BIG, detail="corrupt payload"),
        "ack-unkept": m.Ack(1, m.Status.UNKEPT, detail="disk full"),
        "fault": m.Fault(43, "protocol violation"),
        "goodbye": m.Goodbye(1, 2, 3, 4),
        "pong": m.Pong(1, 2, 3),
        "hint": m.Hint(12.5, 30, 16),
    }
    for name, sent in uplink.items():
        data = serialize_uplink(sent)
        yield f"uplink-{name}", bytes((messages.UPLINK,)) + data
        yield f"unfolded-uplink-{name}", bytes((messages.UNFOLDED_UPLINK,)) + data
        yield f"sealed-uplink-{name}", bytes((messages.SEALED_UPLINK, (data[0] >> 3) - 1)) + data[2:]
    for name, answer in downlink.items():
        data = serialize_downlink(answer)
        yield f"downlink-{name}", bytes((messages.DOWNLINK,)) + data
        yield f"unfolded-downlink-{name}", bytes((messages.UNFOLDED_DOWNLINK,)) + data
        yield f"sealed-downlink-{name}", bytes((messages.SEALED_DOWNLINK, (data[0] >> 3) - 1)) + data[2:]
    yield "uplink-many-members", bytes((messages.UPLINK,)) + b"\x0a\x00\x12\x00" * 8


def imageheader_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield the beginnings of real images, as encoders write them."""
    image = np.zeros((64, 96, 3), np.uint8)
    kinds = {
        "jpeg": (imageheader.JPEG, ".jpg", ()),
        "jpeg-progressive": (imageheader.JPEG, ".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        "webp": (imageheader.WEBP, ".webp", (cv2.IMWRITE_WEBP_QUALITY, 50)),
        "webp-lossless": (imageheader.WEBP, ".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    }
    for name, (kind, suffix, options) in kinds.items():
        data = cv2.imencode(suffix, image, list(options))[1].tobytes()
        yield name, bytes((kind,)) + data[:LARGEST_SEED_BYTES]
    body = bytes((0, 0, 0, 0)) + (1241).to_bytes(3, "little") + (374).to_bytes(3, "little")
    yield "webp-extended", bytes((imageheader.WEBP,)) + b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + body
    for name, height, width in (("hevc", 64, 96), ("hevc-wide", 374, 1242)):
        first, second = hevc(2, height, width)
        yield name, bytes((imageheader.HEVC,)) + first.data[:LARGEST_SEED_BYTES]
        yield f"{name}-second", bytes((imageheader.HEVC,)) + second.data[:LARGEST_SEED_BYTES]


def manifest_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield the shipped manifest, a small one, and what TOML can say that a manifest must not."""
    shipped = ROOT / "cloud" / "bundles" / "compact" / "manifest.toml"
    yield "shipped", shipped.read_bytes()
    yield "tiny", MANIFEST.encode()
    changes = {
        "digits": ("format = 1", "format = " + "9" * 4400),
        "hex-digits": ("format = 1", "format = 0x" + "f" * 4000),
        "infinite": ("qualities = 8", "qualities = inf"),
        "not-text": ('name = "tiny"', "name = {a = [1, 2]}"),
        "outside": ('"a.bin"', '"../a.bin"'),
        "date": ("stride = 16", "stride = 1979-05-27T07:32:00Z"),
        "nested": ("stride = 16", "stride = " + "[" * 900),
        "dotted": ("[model]", "[" + ".".join("a" * 900) + "]"),
    }
    for name, (old, new) in changes.items():
        yield name, MANIFEST.replace(old, new).encode()


SEEDS = {
    bitstream.NAME: bitstream_seeds,
    messages.NAME: message_seeds,
    imageheader.NAME: imageheader_seeds,
    "manifest": manifest_seeds,
}


def main() -> None:
    """Write the seeds."""
    for target, make in SEEDS.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in make():
            (folder / f"{name}.bin").write_bytes(data)
        files = list(folder.iterdir())
        print(f"{target}: {len(files)} inputs, {sum(f.stat().st_size for f in files)} bytes")


if __name__ == "__main__":
    main()
