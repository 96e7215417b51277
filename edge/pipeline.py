"""Camera to send queue: one thread captures, one encodes, with bounded queues between.

A live stream (`wait=False`) never blocks the camera: a full queue drops its oldest frame, counted by place.
A recording sent as fast as it goes (`wait=True`) drops nothing: a full queue makes the stage before it wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from common.errors import CameraError, MdicError
from common.stream.limits import LIMITS, StreamLimits
from common.stream.messages import MainFrame, SideFrame
from common.stream.queue import BoundedQueue, Closed
from common.types import RgbImage, StereoFrame
from edge.outgoing import Outgoing
from edge.pacing import Pacer
from edge.ratecontrol import Decision
from edge.report import StreamStats
from edge.sidecodec import SideEncoder
from edge.telemetry import TelemetryPacker

CAPTURE_QUEUE_FRAMES = 4


class EncodedMain(Protocol):
    """What the pipeline needs of an encoded frame."""

    @property
    def packet(self) -> bytes:
        """Packet bytes."""

    @property
    def ms(self) -> dict[str, float]:
        """Milliseconds by stage."""


class MainEncoder(Protocol):
    """What the pipeline needs of `edge.encoder.Encoder`."""

    def encode(self, image: RgbImage, quality: int) -> EncodedMain:
        """Encode (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class ViewSizes:
    """Height and width of each view, fixed for a connection; None for a view that is not sent."""

    main: tuple[int, int] | None
    side: tuple[int, int] | None


@dataclass(frozen=True)
class _Captured:
    taken_ns: int
    frame: StereoFrame


class Pipeline:
    """Run a camera's frames through the encoders into `send_queue`, in two threads."""

    def __init__(
        self,
        camera: str,
        sizes: ViewSizes,
        send_queue: BoundedQueue[Outgoing],
        stats: StreamStats,
        *,
        main_encoder: MainEncoder | None,
        side_encoder: SideEncoder | None,
        quality: Callable[[], Decision],
        wait: bool = False,
        pacer: Pacer | None = None,
        deadline_ms: int = 0,
        packer: TelemetryPacker | None = None,
        counts: bool = True,
        limits: StreamLimits = LIMITS,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            camera: its name, for errors.
            sizes: of the views, which must not change.
            send_queue: where encoded frames go.
            stats: counts.
            main_encoder: None when no main view is sent.
            side_encoder: None when no side view is sent.
            quality: asked once for each frame captured: how to encode it, and whether at all.
            wait: make the camera wait instead of dropping frames.
            pacer: holds frames back.
            deadline_ms: age at which a frame is not worth encoding; 0 for none.
            packer: gathers the rig's records.
            counts: whether a frame counts as captured here; else where it is kept.
            limits: on what is sent.
        """
        self._camera, self._sizes, self._stats, self._limits = camera, sizes, stats, limits
        self._main_encoder, self._side_encoder = main_encoder, side_encoder
        self._quality, self._wait, self._pacer = quality, wait, pacer
        self._deadline_ns, self._packer, self._counts = deadline_ms * 1_000_000, packer, counts
        self._captured: BoundedQueue[_Captured] = BoundedQueue(CAPTURE_QUEUE_FRAMES)
        self._encoded = send_queue
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._last_side_seq: int | None = None
        self.failure: Exception | None = None
        """What ended the pipeline before its time; also the defects, for the caller to raise."""
        self.warnings: list[str] = []
        """One line for the first frame that could not be encoded."""

    def start(self, frames: Iterable[StereoFrame]) -> None:
        """Start both threads on `frames`."""
        self._threads = [
            threading.Thread(target=self._capture, args=(iter(frames),), name="capture", daemon=True),
            threading.Thread(target=self._encode, name="encode", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether every frame has gone through."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Capture nothing more; what is captured still goes through."""
        self._stop.set()
        self._captured.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for the encoding thread, not for a camera that may hang; return whether it has finished."""
        self._threads[-1].join(timeout_s)
        return not self._threads[-1].is_alive()

    def _capture(self, frames: Iterator[StereoFrame]) -> None:
        try:
            for frame in frames:
                held_s = self._pacer.delay_s(self._stats.clock()) if self._pacer else 0.0
                if self._stop.wait(held_s):
                    break
                if self._counts:
                    self._stats.frames.add("captured")
                self._check_sizes(frame)
                item = _Captured(self._stats.clock(), frame)
                if self._wait:
                    self._captured.put_wait(item)
                else:
                    self._count_drop("capture_queue", self._captured.put(item))
        except Closed:
            pass  # stopped
        except MdicError as error:
            self._fail(error)
        except Exception as error:  # a driver's own error; the frames before it are good
            self._fail(CameraError(self._camera, f"{type(error).__name__}: {error}"))
        finally:
            self._captured.close()

    def _check_sizes(self, frame: StereoFrame) -> None:
        """Refuse a camera that changes its size: the hello has announced one for good.

        Raises:
            CameraError: it did.
        """
        for view, image, size in (
            ("main", frame.main, self._sizes.main),
            ("side", frame.side, self._sizes.side),
        ):
            if image is not None and size is not None and image.shape[:2] != size:
                got = "x".join(map(str, image.shape[:2]))
                want = "x".join(map(str, size))
                why = f"{view} view of frame {frame.seq} is {got} pixels, the stream began with {want}"
                raise CameraError(self._camera, why)

    def _encode(self) -> None:
        try:
            # The side view has a core of its own: both codecs leave Python while they work.
            with ThreadPoolExecutor(1, thread_name_prefix="encode-side") as pool:
                while True:
                    item = self._captured.get()
                    if item is not None:
                        self._encode_one(item, pool)
        except Closed:
            self._flush()  # all through, or the connection is gone
        except Exception as error:
            self._fail(error)
        finally:
            for left in self._captured.abort():
                self._count_drop("shutdown", left)

    def _encode_one(self, item: _Captured, pool: ThreadPoolExecutor) -> None:
        """Encode both views of one frame and queue them.

        Raises:
            Closed: the send queue is closed.
        """
        frame = item.frame
        if self._deadline_ns and self._stats.clock() - item.taken_ns > self._deadline_ns:
            has_main, has_side = self._views(frame)
            self._stats.late("capture_queue", main=has_main, side=has_side)
            return
        decision = self._quality()
        if not decision.send:
            has_main, has_side = self._views(frame)
            self._stats.dropped("thinned", main=has_main, side=has_side)
            records = self._packer.add_frame(frame) if self._packer else ()
            if records:  # they cost little, and gaps in them are gaps in the drive
                self._put(Outgoing(item.taken_ns, None, None, telemetry=records))
            return
        side_job = None
        if self._side_encoder is not None and self._sizes.side and frame.side is not None:
            side_job = pool.submit(self._encode_side, frame.seq, frame.capture_ns, frame.side)
        main = None
        if self._main_encoder is not None and self._sizes.main and frame.main is not None:
            main = self._encode_main(frame.seq, frame.capture_ns, frame.main, decision.quality)
        side = side_job.result() if side_job else None
        records = self._packer.add_frame(frame) if self._packer else ()
        if main is None and side is None and not records:
            return
        self._put(Outgoing(item.taken_ns, main, side, decision.quality, records))

    def _put(self, outgoing: Outgoing) -> None:
        """Queue an encoded frame.

        Raises:
            Closed: the send queue is closed.
        """
        main, side = outgoing.main, outgoing.side
        try:
            if self._wait:
                self._encoded.put_wait(outgoing)
                return
            dropped = self._encoded.put(outgoing)
        except Closed:
            self._stats.dropped("shutdown", main=main is not None, side=side is not None)
            raise
        if dropped is not None:
            self._stats.dropped("send_queue", main=dropped.main is not None, side=dropped.side is not None)
            if dropped.telemetry:
                self._stats.telemetry_drops.add("send_queue", len(dropped.telemetry))
            if dropped.side is not None and self._side_encoder is not None:
                self._side_encoder.request_keyframe()

    def _flush(self) -> None:
        """Queue the records that still wait for others."""
        records = self._packer.flush() if self._packer else ()
        if records:
            with suppress(Closed):
                self._put(Outgoing(self._stats.clock(), None, None, telemetry=records))

    def _encode_main(self, seq: int, capture_ns: int, image: RgbImage, quality: int) -> MainFrame | None:
        try:
            encoded = self._main_encoder.encode(image, quality)  # type: ignore[union-attr]
        except MdicError as error:
            self._warn(f"main view of frame {seq}: {error}")
            self._stats.dropped("encode_failed", main=True, side=False)
            return None
        self._stats.encoded(quality, encoded.ms)
        if len(encoded.packet) > self._limits.max_packet_bytes:
            self._stats.dropped("too_large", main=True, side=False)
            return None
        return MainFrame(seq, capture_ns, encoded.packet)

    def _encode_side(self, seq: int, capture_ns: int, image: RgbImage) -> SideFrame | None:
        encoder = self._side_encoder
        begun = time.perf_counter()
        try:
            coded = encoder.encode(image)  # type: ignore[union-attr]
        except MdicError as error:
            self._warn(f"side view of frame {seq}: {error}")
            self._stats.dropped("encode_failed", main=False, side=True)
            return None
        self._stats.encoded(None, {"side": 1000 * (time.perf_counter() - begun)})
        reference, self._last_side_seq = self._last_side_seq, seq
        if len(coded.data) > self._limits.max_side_bytes:
            self._stats.dropped("too_large", main=False, side=True)
            encoder.request_keyframe()  # type: ignore[union-attr]
            return None
        return SideFrame(seq, capture_ns, coded.data, coded.keyframe, 0 if coded.keyframe else reference or 0)

    def _count_drop(self, reason: str, dropped: _Captured | None) -> None:
        if dropped is not None:
            main, side = self._views(dropped.frame)
            self._stats.dropped(reason, main=main, side=side)

    def _views(self, frame: StereoFrame) -> tuple[bool, bool]:
        """Tell which views of a frame would be sent: main, side."""
        sizes = self._sizes
        return (
            sizes.main is not None and frame.main is not None,
            sizes.side is not None and frame.side is not None,
        )

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error

    def _warn(self, line: str) -> None:
        if not self.warnings:
            self.warnings.append(line)
