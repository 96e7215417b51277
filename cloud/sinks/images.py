"""A folder of images: `DIR/VEHICLE/main/SEQ.png` and one line a frame in `DIR/VEHICLE/index.jsonl`.

Files appear whole or not at all. When a vehicle streams again into the same folder, files of the same number
are replaced and the index goes on; its `session` field tells the runs apart.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import IO

import cv2

from cloud.sinks.base import SinkFrame
from common.bitstream.container import Container


class ImageSink:
    """Write each frame as PNG, or as `.mdic` when it was not decoded."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._indexes: dict[str, IO[str]] = {}

    def write(self, frame: SinkFrame) -> None:
        """Write the frame's file, then its line in the index."""
        index = self._indexes.get(frame.vehicle)
        folder = self._folder / frame.vehicle
        if index is None:
            (folder / "main").mkdir(parents=True, exist_ok=True)
            index = self._indexes[frame.vehicle] = (folder / "index.jsonl").open("a", encoding="utf-8")
        name, content = _file_of(frame)
        write_atomic(folder / "main" / name, content)
        line = {
            "seq": frame.seq,
            "capture_ns": frame.capture_ns,
            "bitstream_sha256": hashlib.sha256(frame.packet).hexdigest(),
            "bytes": len(frame.packet),
            "side": frame.side_state.value,
            "temporal": round(frame.temporal, 4),
            "file": f"main/{name}",
            "session": frame.session,
        }
        index.write(json.dumps(line) + "\n")
        index.flush()

    def close_vehicle(self, vehicle: str) -> None:
        """Close the vehicle's index."""
        index = self._indexes.pop(vehicle, None)
        if index is not None:
            index.close()

    def close(self) -> None:
        """Close every index."""
        for vehicle in list(self._indexes):
            self.close_vehicle(vehicle)


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds all of it or what it held before.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _file_of(frame: SinkFrame) -> tuple[str, bytes]:
    if frame.image is None:
        return f"{frame.seq:06d}.mdic", Container(frame.facts, frame.packet).serialize()
    return f"{frame.seq:06d}.png", png_bytes(frame.image)


def png_bytes(image: object) -> bytes:
    """Return the PNG file of an (H, W, 3) uint8 RGB image."""
    done, coded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))  # type: ignore[call-overload]
    if not done:
        raise OSError("the image could not be coded as PNG")
    return bytes(coded)
