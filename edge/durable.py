"""A run that loses nothing: what is captured waits on disk until the cloud says that it has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from common.errors import CameraError, MdicError, SpoolError, StreamError, UsageError
from common.stream.messages import Hello, Mode, Role
from common.stream.queue import BoundedQueue
from common.stream.sender import Sender
from common.types import SideCodec, StereoFrame
from edge.courier import Courier
from edge.outgoing import Outgoing
from edge.pipeline import Pipeline
from edge.sidecodec import SideEncoder
from edge.spool import Spool, SpoolFormat, SpoolFull
from edge.spool.dialer import SpoolDialer
from edge.spool.source import SpoolSource
from edge.spool.writer import SpoolWriter
from edge.uplink import SEND_QUEUE_FRAMES

if TYPE_CHECKING:
    from edge.session import StreamSession

_TICK_S = 0.1


class DurableRun:
    """One run of a camera through the spool.

    Capturing needs no cloud and sending needs no camera, so each goes on without the other. A recording that an
    earlier run left half-way goes on where the spool ends; its position is forgotten once all of it has arrived.
    """

    def __init__(self, session: StreamSession) -> None:
        """Open the spool.

        Raises:
            UsageError: the plan makes no sense for a durable stream.
            SpoolError: the spool cannot be used.
        """
        self._session, self._plan, self._stats = session, session.plan, session.stats
        if not self._plan.role.has_main:
            raise UsageError("--role side cannot be durable: side views are not acknowledged one by one")
        if self._plan.spool is None:
            raise UsageError("a durable stream needs a spool")
        self._camera = None if self._plan.is_device else self._plan.camera
        self._change = threading.Condition()
        spool = self._spool = Spool(self._plan.spool, self._plan.spool_bytes)
        self._sender = Sender(Mode.DURABLE, base=spool.base, free=spool.next_seq)
        self._source = SpoolSource(spool, self._sender, self._change, self._stats)
        self._dialer = SpoolDialer(self._source, self._change, self._hello, self._plan.spool_age_s)
        self._courier = Courier(
            self._plan.cloud,
            self._dialer,
            self._sender,
            self._change,
            self._stats,
            comes_back=True,
            patience_s=self._plan.timeout_s,
            credentials=self._plan.credentials,
            notice=session.notice,
        )

    def run(self) -> MdicError | None:
        """Capture to the camera's end, send to the spool's; return what is left undone, as an error.

        Raises:
            MdicError: it could not begin.
        """
        session = self._session
        try:
            frames = self._frames()
            self._stats.spooled = lambda: self._spool.pending
            session.facts.stream_id = self._spool.stream_id.hex()
            session.facts.spool = str(self._spool.folder)
            session.began = True
            capture = None if frames is None else self._capture(*frames)
            self._courier.start()
            try:
                self._wait(capture)
            finally:
                self._courier.close()
            session.facts.session = self._courier.session
            return self._verdict(capture)
        finally:
            left = self._spool.pending
            self._stats.spooled = lambda: left
            self._spool.close()

    def _frames(self) -> tuple[StereoFrame, Iterator[StereoFrame]] | None:
        """Return the first frame that the spool has not had, and those after it; None when it has had them all.

        Raises:
            CameraError: the camera gives none at all.
        """
        camera = self._session.parts.camera
        start = 0 if self._camera is None else self._spool.position(self._camera)
        frames = iter(camera.frames(start) if start else camera.frames())
        first = next(frames, None)
        if first is None and not start:
            raise CameraError(self._plan.camera, "gave no frame at all")
        return None if first is None else (first, frames)

    def _capture(self, first: StereoFrame, frames: Iterator[StereoFrame]) -> _Capture:
        """Start the camera's way into the spool.

        Raises:
            MdicError: it cannot begin.
        """
        session, plan = self._session, self._plan
        sizes = session.sizes(first)
        codec = int(plan.side_codec.codec) if plan.role.has_side else 0
        form = SpoolFormat(
            int(plan.role),
            session.parts.bundle_id.hex(),
            *(sizes.main or (0, 0)),
            *(sizes.side or (0, 0)),
            side_codec=codec,
        )
        try:
            number = self._source.growing = self._spool.format_id(form)
        except SpoolFull:
            raise SpoolError(self._spool.folder, "the disk is full") from None
        side_encoder = session.side_encoder()
        queue: BoundedQueue[Outgoing] = BoundedQueue(SEND_QUEUE_FRAMES)
        pipeline = session.pipeline(sizes, queue, side_encoder, session.fixed_quality())
        writer = SpoolWriter(
            self._spool,
            number,
            queue,
            self._stats,
            wait=plan.wait,
            camera=self._camera,
            on_kept=self._tell,
            request_keyframe=side_encoder.request_keyframe if side_encoder else lambda: None,
        )
        writer.start()
        pipeline.start(chain([first], frames))
        return _Capture(pipeline, writer, queue, side_encoder)

    def _tell(self) -> None:
        with self._change:
            self._change.notify_all()

    def _hello(self, form: SpoolFormat, oldest: int) -> Hello:
        role = Role(form.role)
        return Hello(
            vehicle=self._plan.vehicle,
            role=role,
            bundle_id=bytes.fromhex(form.bundle),
            height=form.height,
            width=form.width,
            side_height=form.side_height,
            side_width=form.side_width,
            side_codec=SideCodec(form.side_codec) if role.has_side else None,
            camera=self._session.parts.camera.name[:256],
            mode=Mode.DURABLE,
            stream_id=self._spool.stream_id,
            oldest_seq=self._sender.wire(oldest),
        )

    def _wait(self, capture: _Capture | None) -> None:
        """Stay until all is captured and acknowledged; after the capture, at most `--timeout` without progress."""
        plan, courier, stopping = self._plan, self._courier, self._session.stopping
        with self._session.progress() as progress:
            while capture is not None and not capture.over(stopping.is_set()):
                time.sleep(_TICK_S)
                progress.update_to(self._stats)
                # A recording that waits for room waits for the cloud. Otherwise an outage costs nothing yet.
                if not capture.writer.waiting:
                    courier.restart_patience()
                if courier.done or courier.progress_s > plan.timeout_s:
                    capture.give_up()
                    courier.give_up(self._left("the spool is full and the cloud takes nothing"))
            self._dialer.finish()
            courier.restart_patience()
            begun = time.monotonic()
            while not courier.wait_done(_TICK_S):
                progress.update_to(self._stats)
                over = stopping.is_set() and time.monotonic() - begun > plan.timeout_s
                if over or courier.progress_s > plan.timeout_s:
                    courier.give_up(self._left(f"no ack for {plan.timeout_s:g} s"))

    def _left(self, why: str) -> MdicError:
        return StreamError(f"{self._spool.pending} frames wait in {self._spool.folder}: {why}")

    def _verdict(self, capture: _Capture | None) -> MdicError | None:
        """Return the error that a run ends with; forget a recording's position when all of it has arrived.

        Raises:
            Exception: a defect, as it is.
        """
        self._source.flush()
        failures: list[Exception | None] = [self._courier.defect]
        if capture is not None:
            failures += [capture.pipeline.failure, capture.writer.failure]
            self._session.warnings += capture.pipeline.warnings
        for failure in failures:
            if failure is not None and not isinstance(failure, MdicError):
                raise failure
        early = next((failure for failure in failures if isinstance(failure, MdicError)), None)
        if self._spool.pending:
            return early or self._courier.failure or self._left("not acknowledged")
        if early is None and self._camera is not None and not self._session.stopping.is_set():
            self._forget_position(self._camera)
        expired = self._stats.late_places["spool"]
        if early is None and expired:
            early = StreamError(f"{expired} frames grew older than --spool-age before the cloud took them")
        return early or self._session.failed_frames()

    def _forget_position(self, camera: str) -> None:
        try:
            self._spool.finish_pass(camera)
        except SpoolFull:
            raise SpoolError(self._spool.folder, "the disk is full") from None


class _Capture:
    """The way from the camera into the spool, while it runs."""

    def __init__(
        self,
        pipeline: Pipeline,
        writer: SpoolWriter,
        queue: BoundedQueue[Outgoing],
        side_encoder: SideEncoder | None,
    ) -> None:
        self.pipeline, self.writer = pipeline, writer
        self._queue, self._side_encoder = queue, side_encoder

    def over(self, stop: bool) -> bool:
        """Whether everything captured is in the spool; with `stop`, nothing more is captured."""
        if stop:
            self.pipeline.stop()
        if self.writer.failure is not None:
            self.pipeline.stop()
        if not self.pipeline.join(0):
            return False
        self._queue.close()
        if not self.writer.done:
            return False
        if self._side_encoder is not None:
            self._side_encoder.close()
            self._side_encoder = None
        return True

    def give_up(self) -> None:
        """Capture nothing more and wait for no room: what is not in the spool yet is dropped."""
        self.pipeline.stop()
        self.writer.give_up()
