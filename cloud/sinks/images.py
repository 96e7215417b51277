"""A folder of images: `DIR/VEHICLE/main/SEQ.png` and one line a frame in `DIR/VEHICLE/index.jsonl`.

Files appear whole or not at all. A durable frame is synced before its line is written, the line before anybody is
told: file, folder, index. One sync of folder and index serves a whole group of frames, and the files of a group are
synced side by side, since a disk takes many in the time of one. Live frames are left to the operating system, which
keeps them when the server dies but not when the power goes.

When a vehicle streams live again into the same folder, files of the same number are replaced and the index goes on;
its `session` field tells the runs apart. Durable frames are never replaced.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2

from cloud.sinks.base import FrameConflict, Held, Kept, SinkFrame
from cloud.sinks.index import Entry, VehicleIndex, line_of
from cloud.sinks.telemetry import TelemetryLogs
from common.bitstream.container import Container
from common.stream.messages import Mode, Telemetry
from common.telemetry import TelemetryCodec

SYNC_THREADS = 8
"""Files synced at the same time; beyond, an SSD gains nothing."""
_TEMPORARY = ".tmp"
_OPENING_LOCKS = 64


class ImageSink:
    """Write each frame as PNG, or as `.mdic` when it was not decoded."""

    def __init__(self, folder: Path, codec: TelemetryCodec | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._telemetry = TelemetryLogs(folder, codec or TelemetryCodec())
        self._indexes: dict[str, VehicleIndex] = {}
        self._opening = [threading.Lock() for _ in range(_OPENING_LOCKS)]
        self._threads = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="sync")

    def held(self, vehicle: str, stream: bytes) -> Held:
        """Return what is kept of a stream; opens the vehicle's index. For any thread.

        Raises:
            OSError: the folder or the index cannot be used.
        """
        index = self._index(vehicle)
        return Held(index.held(stream), index.highest + 1)

    def write(self, frame: SinkFrame) -> None:
        """Keep one frame.

        Raises:
            OSError: it cannot be written.
            FrameConflict: its number is taken.
        """
        (answer,) = self.write_group([frame])
        if isinstance(answer, Exception):
            raise answer

    def write_group(self, frames: Sequence[SinkFrame]) -> list[Kept | Exception]:
        """Keep frames; return for each what was kept or why it was not. A frame that is here already is left alone."""
        answers: list[Kept | Exception] = [Kept(frame.side_state) for frame in frames]
        for vehicle in dict.fromkeys(frame.vehicle for frame in frames):
            mine = [n for n, frame in enumerate(frames) if frame.vehicle == vehicle]
            try:
                index = self._index(vehicle)
                group = _VehicleGroup(self._folder / vehicle, index, self._telemetry, self._threads)
                told = group.write([frames[n] for n in mine])
            except OSError as error:
                told = [error] * len(mine)
            for n, answer in zip(mine, told, strict=True):
                answers[n] = answer
        return answers

    def write_telemetry(self, vehicle: str, stream: bytes, telemetry: Telemetry) -> None:
        """Keep the records of a live message.

        Raises:
            OSError: they cannot be written.
        """
        self._index(vehicle)  # makes the folder
        self._telemetry.write(vehicle, stream, Mode.LIVE, telemetry)

    def close_vehicle(self, vehicle: str) -> None:
        """Close the vehicle's index and its telemetry."""
        self._telemetry.close_vehicle(vehicle)
        index = self._indexes.pop(vehicle, None)
        if index is not None:
            index.close()

    def close(self) -> None:
        """Close every index."""
        for vehicle in list(self._indexes):
            self.close_vehicle(vehicle)
        self._threads.shutdown()

    def _index(self, vehicle: str) -> VehicleIndex:
        # Reading a long index takes seconds: only those who need the same one wait for it.
        with self._opening[hash(vehicle) % _OPENING_LOCKS]:
            index = self._indexes.get(vehicle)
            if index is None:
                index = self._indexes[vehicle] = self._open(self._folder / vehicle)
            return index

    def _open(self, folder: Path) -> VehicleIndex:
        new = not folder.exists()
        (folder / "main").mkdir(parents=True, exist_ok=True)
        (folder / _TEMPORARY).mkdir(exist_ok=True)
        for left in (folder / _TEMPORARY).iterdir():  # by a server that was killed
            left.unlink()
        index = VehicleIndex(folder / "index.jsonl")
        if new:
            sync_folder(folder)
            sync_folder(self._folder)
        return index


class _VehicleGroup:
    """Write frames of one vehicle with one sync of its folder and its index."""

    def __init__(
        self, folder: Path, index: VehicleIndex, telemetry: TelemetryLogs, threads: ThreadPoolExecutor
    ) -> None:
        self._folder, self._index, self._telemetry, self._threads = folder, index, telemetry, threads

    def write(self, frames: Sequence[SinkFrame]) -> list[Kept | Exception]:
        answers: list[Kept | Exception | None] = []
        fresh: dict[int, int] = {}  # number -> position of the frame that is written for it
        prints = [hashlib.sha256(frame.packet).hexdigest() for frame in frames]
        for n, frame in enumerate(frames):
            answers.append(self._known(frame, prints[n]))
            if answers[n] is None and fresh.setdefault(frame.seq, n) != n:
                # Twice in one group: the second finds the first in the index.
                return [*self.write(frames[:n]), *self.write(frames[n:])]
        self._write_fresh(frames, prints, answers, list(fresh.values()))
        return [answer if answer is not None else OSError("not written") for answer in answers]

    def _known(self, frame: SinkFrame, sha256: str) -> Kept | Exception | None:
        found = self._index.find(frame.stream, frame.seq)
        if found is None:
            return None
        mine, side = found
        if mine and frame.mode is Mode.DURABLE and self._index.same(frame.seq, sha256):
            return Kept(side, again=True)
        return FrameConflict(frame.vehicle, frame.seq, same_stream=mine)

    def _write_fresh(
        self,
        frames: Sequence[SinkFrame],
        prints: Sequence[str],
        answers: list[Kept | Exception | None],
        fresh: Sequence[int],
    ) -> None:
        """Write the frames at the positions in `fresh` and put what became of them into `answers`."""
        durable = any(frames[n].mode is Mode.DURABLE for n in fresh)
        each = self._threads.map if durable else map
        lines = []
        for n, wrote in zip(fresh, each(lambda n: self._file(frames[n]), fresh), strict=True):
            if isinstance(wrote, Exception):
                answers[n] = wrote
                continue
            frame = frames[n]
            try:
                for message in frame.telemetry:
                    self._telemetry.write(frame.vehicle, frame.stream, frame.mode, message)
            except OSError as error:
                answers[n] = error
                with suppress(OSError):
                    (self._folder / "main" / _name_of(frame)).unlink()
                continue
            entry = Entry(frame.seq, prints[n], frame.side_state, frame.stream, frame.mode)
            lines.append((n, entry, line_of(entry, frame.capture_ns, len(frame.packet), _more(frame, wrote))))
        if not lines:
            return
        try:
            if durable:
                self._telemetry.sync(self._folder.name)
                sync_folder(self._folder / "main")
            self._index.append([(entry, line) for _, entry, line in lines], sync=durable)
        except OSError as error:
            for n, _, _ in lines:
                answers[n] = error
                with suppress(OSError):
                    (self._folder / "main" / _name_of(frames[n])).unlink()
            return
        for n, _, _ in lines:
            answers[n] = Kept(frames[n].side_state)

    def _file(self, frame: SinkFrame) -> str | Exception:
        """Write one frame's file; return its name in the folder, or what went wrong."""
        name = _name_of(frame)
        temporary = self._folder / _TEMPORARY / f"{name}.partial"
        try:
            target = self._folder / "main" / name
            write_atomic(target, _content_of(frame), temporary, sync=frame.mode is Mode.DURABLE)
        except Exception as error:  # of this frame only, whatever it is
            return error
        return f"main/{name}"


def write_atomic(path: Path, content: bytes, temporary: Path | None = None, sync: bool = False) -> None:
    """Write `content` so that `path` holds all of it or what it held before.

    Args:
        path: where it is to be.
        content: what it is to hold.
        temporary: where it is written first, on the same disk; None takes a hidden name beside `path`.
        sync: have it on the disk before `path` shows it; the folder is left to `sync_folder`.

    Raises:
        OSError: it cannot be written.
    """
    temporary = temporary or path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb", buffering=0) as file:
            written = 0
            while written < len(content):
                written += file.write(content[written:]) or 0
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk.

    Raises:
        OSError: the disk fails.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name_of(frame: SinkFrame) -> str:
    return f"{frame.seq:06d}.{'mdic' if frame.image is None else 'png'}"


def _content_of(frame: SinkFrame) -> bytes:
    if frame.image is None:
        return Container(frame.facts, frame.packet).serialize()
    return png_bytes(frame.image)


def _more(frame: SinkFrame, file: str) -> dict[str, object]:
    """Return the fields of a frame's line that only people and tools read."""
    more: dict[str, object] = {"temporal": round(frame.temporal, 4), "file": file, "session": frame.session}
    if frame.side_note:
        more["side_note"] = frame.side_note
    if frame.side_trust is not None:
        more["side_trust"] = round(frame.side_trust, 3)
    if frame.side_suspect:
        more["side_suspect"] = True
    if frame.error:
        more["error"] = frame.error
    return more


def png_bytes(image: object) -> bytes:
    """Return the PNG file of an (H, W, 3) uint8 RGB image."""
    done, coded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))  # type: ignore[call-overload]
    if not done:
        raise OSError("the image could not be coded as PNG")
    return bytes(coded)
