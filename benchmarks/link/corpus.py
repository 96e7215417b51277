"""Real packets of every quality, made once, so that a run measures the network and not the encoder's processor time."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.types import SideCodec
from edge.ratecontrol import HIGHEST_QUALITY

MAIN_OVERHEAD, SIDE_OVERHEAD = 64, 36
"""Bytes of gRPC, HTTP/2 and protobuf beside a packet and beside a side view (proto/TRANSPORT.md, section 10)."""


@dataclass(frozen=True)
class Corpus:
    """A short street, coded: `packets[frame][quality]`, and `sides[frame]`, empty where no side view is sent."""

    height: int
    width: int
    bundle: bytes
    packets: tuple[tuple[bytes, ...], ...]
    sides: tuple[bytes, ...]

    def packet(self, number: int, quality: int) -> bytes:
        """Return the packet of captured frame `number`; the street repeats."""
        return self.packets[number % len(self.packets)][quality]

    def side(self, number: int) -> bytes | None:
        """Return the coded side view of captured frame `number`; None without side views."""
        return self.sides[number % len(self.sides)] if self.sides else None

    def wire_bytes(self, number: int, quality: int) -> int:
        """Return what a whole frame takes on the connection, without TCP and IP."""
        side = self.side(number)
        return (
            len(self.packet(number, quality))
            + MAIN_OVERHEAD
            + (0 if side is None else len(side) + SIDE_OVERHEAD)
        )

    def mean_bytes(self) -> dict[str, Any]:
        """Return the mean sizes, for the report."""
        qualities = range(HIGHEST_QUALITY + 1)
        main = [round(sum(len(row[q]) for row in self.packets) / len(self.packets)) for q in qualities]
        return {"main": main, "side": round(sum(map(len, self.sides)) / len(self.sides)) if self.sides else 0}


def make_corpus(camera: str, side: str, frames: int, say: Callable[[str], None]) -> Corpus:
    """Code the first frames of a camera at every quality.

    Args:
        camera: as `mdic-edge stream` takes it.
        side: `none`, or a side codec whose frames stand alone (`jpeg:Q`, `webp`): frames are left out on the way.
        frames: how many.
        say: told once that this takes a moment.

    Raises:
        InputError: the side codec's frames need each other, or a view is missing.
        MdicError: the camera, bundle or codec cannot be used.
    """
    from common.bundle import Bundle
    from edge.camera import open_camera
    from edge.encoder import Encoder
    from edge.sidecodec import open_side_encoder, parse_side_codec

    spec = None if side == "none" else parse_side_codec(side)
    if spec is not None and spec.codec is SideCodec.HEVC:
        raise InputError("side views in HEVC need each other: link runs take jpeg:Q, webp or none")
    say(f"coding {frames} frames of {camera} at every quality ...")
    bundle = Bundle.load(None)
    encoder, side_encoder = Encoder(bundle, threads=1), open_side_encoder(spec) if spec else None
    source = open_camera(camera, None, frames)
    packets, sides, shape = [], [], (0, 0)
    for frame in source.frames():
        if frame.main is None or (side_encoder is not None and frame.side is None):
            raise InputError(f"camera {camera}: frame {frame.seq} lacks a view")
        shape = frame.main.shape[:2]
        packets.append(tuple(encoder.encode(frame.main, q).packet for q in range(HIGHEST_QUALITY + 1)))
        if side_encoder is not None and frame.side is not None:
            sides.append(side_encoder.encode(frame.side).data)
    source.close()
    return Corpus(shape[0], shape[1], bundle.id, tuple(packets), tuple(sides))


def cached_corpus(folder: Path, camera: str, side: str, frames: int, say: Callable[[str], None]) -> Path:
    """Return the file of a corpus, made anew unless the same bundle made it before."""
    from common.bundle import Bundle

    key = f"{Bundle.load(None).id.hex()} {camera} {side} {frames}"
    path = folder / f"corpus-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        save(make_corpus(camera, side, frames, say), path)
    return path


def save(corpus: Corpus, path: Path) -> None:
    """Write a corpus in one step."""
    flat = [packet for row in corpus.packets for packet in row]
    facts = np.array([corpus.height, corpus.width, len(corpus.packets), len(corpus.sides)], np.int64)
    temporary = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(
        temporary,
        facts=facts,
        bundle=np.frombuffer(corpus.bundle, np.uint8),
        sizes=np.array([len(item) for item in (*flat, *corpus.sides)], np.int64),
        data=np.frombuffer(b"".join((*flat, *corpus.sides)), np.uint8),
    )
    temporary.replace(path)


def load(path: Path) -> Corpus:
    """Read a corpus that `save` wrote.

    Raises:
        InputError: it is not one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            height, width, frames, sides = (int(value) for value in file["facts"])
            ends = np.cumsum(file["sizes"]).tolist()
            data, bundle = file["data"].tobytes(), file["bundle"].tobytes()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"corpus {path}: {error}") from None
    parts = [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    each = HIGHEST_QUALITY + 1
    if len(parts) != frames * each + sides:
        raise InputError(f"corpus {path}: {len(parts)} parts instead of {frames * each + sides}")
    rows = tuple(tuple(parts[each * index : each * (index + 1)]) for index in range(frames))
    return Corpus(height, width, bundle, rows, tuple(parts[each * frames :]))
