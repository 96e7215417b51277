"""One run of a camera into a cloud: open, carry, settle, report."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from itertools import chain
from typing import Any

from common.errors import CameraError, MdicError, ProtocolViolation, StreamError
from common.stream.messages import Hello, Mode
from common.stream.queue import BoundedQueue
from common.stream.sender import Sender
from common.types import StereoFrame
from edge.courier import Call, Courier
from edge.livesource import LiveSource
from edge.outgoing import Outgoing
from edge.pacing import Pacer
from edge.pipeline import Pipeline, ViewSizes
from edge.plan import StreamParts, StreamPlan
from edge.progress import Progress
from edge.ratecontrol import START_QUALITY, Decision, Load, RateController, RateRule
from edge.report import StreamFacts, StreamStats, report
from edge.sidecodec import SideEncoder, open_side_encoder
from edge.telemetry import TelemetryPacker
from edge.uplink import SEND_QUEUE_FRAMES

__all__ = ["StreamParts", "StreamPlan", "StreamSession"]

TICK_S = 0.1


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)


class StreamSession:
    """One run of a camera into a cloud; `edge.durable` has the run that keeps what it captures."""

    def __init__(self, plan: StreamPlan, parts: StreamParts, notice: Callable[[str], None] = _warn) -> None:
        self.plan, self.parts, self.notice = plan, parts, notice
        self.stats = StreamStats()
        self.facts = StreamFacts(
            camera=plan.camera,
            cloud=plan.cloud,
            vehicle=plan.vehicle,
            role=plan.role.name.lower(),
            quality="auto" if plan.quality is None else plan.quality,
            bundle=parts.bundle_id.hex() or None,
            side_codec=str(plan.side_codec) if plan.role.has_side else None,
            mode=plan.mode.name.lower(),
        )
        self.stopping = threading.Event()
        self.began = False
        """Whether there is something to report."""
        self.warnings: list[str] = []

    def stop(self) -> None:
        """Ask for an orderly end: capture nothing more, send the rest, wait for the acks."""
        self.stopping.set()

    def summary(self, error: MdicError | None = None) -> dict[str, Any]:
        """Return the report of the run."""
        return report(self.facts, self.stats, error)

    def run(self) -> MdicError | None:
        """Stream to the end; return what went wrong once it had begun, if anything.

        Raises:
            MdicError: the stream could not begin.
        """
        try:
            if self.plan.mode is Mode.DURABLE:
                from edge.durable import DurableRun

                return DurableRun(self).run()
            return self._run_live()
        finally:
            self.parts.camera.close()

    def _run_live(self) -> MdicError | None:
        plan, stats = self.plan, self.stats
        frames = iter(self.parts.camera.frames())
        first = next(frames, None)
        if first is None:
            raise CameraError(plan.camera, "gave no frame at all")
        sizes = self.sizes(first)
        stream_id = secrets.token_bytes(16)
        self.facts.stream_id = stream_id.hex()
        change = threading.Condition()
        queue: BoundedQueue[Outgoing] = BoundedQueue(SEND_QUEUE_FRAMES, change)
        sender = Sender(Mode.LIVE, wait=plan.wait)
        source = LiveSource(queue, sender, change, stats, plan.deadline_ms)
        control = None
        if plan.quality is None and not plan.wait:
            # What would wait for most of its deadline is not worth a place behind what is stuck.
            rule = RateRule(pause_ms=0.6 * plan.deadline_ms) if plan.deadline_ms else RateRule()
            control = RateController(rule)
        courier = Courier(
            plan.cloud,
            _LiveDialer(source, self.hello(sizes, stream_id)),
            sender,
            change,
            stats,
            comes_back=plan.comes_back,
            patience_s=plan.timeout_s,
            listener=control,
            credentials=plan.credentials,
            notice=self.notice,
        )
        try:
            courier.connect()
            self.facts.session, self.began = courier.session, True
            side_encoder = self.side_encoder()
            if side_encoder is not None:
                source.request_keyframe = side_encoder.request_keyframe
            quality = self._quality(control, queue, courier)
            pipeline = self.pipeline(sizes, queue, side_encoder, quality)
            courier.start()
            self._carry(pipeline, courier, queue, sender, chain([first], frames))
            if side_encoder is not None:
                side_encoder.close()
            self.warnings += pipeline.warnings
            return self._verdict(pipeline, courier, sender)
        finally:
            source.discard()
            courier.close()

    def _carry(
        self,
        pipeline: Pipeline,
        courier: Courier,
        queue: BoundedQueue[Outgoing],
        sender: Sender,
        frames: Iterable[StereoFrame],
    ) -> None:
        plan = self.plan
        with self.progress() as progress:
            pipeline.start(frames)
            while not (pipeline.done or courier.done or self.stopping.is_set()):
                time.sleep(TICK_S)
                progress.update_to(self.stats)
                if plan.wait and sender.window_full and courier.progress_s > plan.timeout_s:
                    courier.give_up(self._silent(sender))
            pipeline.stop()
            if courier.done:
                for left in queue.abort():
                    self.stats.dropped("shutdown", main=left.main is not None, side=left.side is not None)
            if not pipeline.join(plan.timeout_s):
                courier.give_up(
                    StreamError(f"encoding did not finish within {plan.timeout_s:g} s of the stop")
                )
            queue.close()
            courier.restart_patience()
            begun = time.monotonic()
            while not courier.wait_done(TICK_S):
                progress.update_to(self.stats)
                over = self.stopping.is_set() and time.monotonic() - begun > plan.timeout_s
                if over or courier.progress_s > plan.timeout_s:
                    courier.give_up(self._silent(sender))

    def _silent(self, sender: Sender) -> MdicError:
        timeout = f"{self.plan.timeout_s:g} s"
        return ProtocolViolation(f"{sender.in_flight} frames sent have no ack {timeout} later; gave up")

    def _verdict(self, pipeline: Pipeline, courier: Courier, sender: Sender) -> MdicError | None:
        """Return the error that a run ends with, the earliest cause first.

        Raises:
            Exception: a defect, as it is.
        """
        for defect in (courier.defect, pipeline.failure):
            if defect is not None and not isinstance(defect, MdicError):
                raise defect
        failure = pipeline.failure if isinstance(pipeline.failure, MdicError) else None
        return courier.failure or failure or self.failed_frames()

    # --- shared with the durable run ------------------------------------------------------------------------

    def failed_frames(self) -> MdicError | None:
        """Return the error for frames that the cloud could not decode, if there were any."""
        failed = self.stats.frames["failed"]
        if not failed:
            return None
        return StreamError(
            f"{failed} frames failed in the cloud: {next(iter(self.stats.cloud_drops.as_dict()), 'no reason')}"
        )

    def sizes(self, first: StereoFrame) -> ViewSizes:
        """Return the sizes to announce; a view missing from the first frame is taken to be like the other.

        Raises:
            CameraError: there is no view at all.
        """
        plan, facts = self.plan, self.facts
        shapes = [(image.shape[0], image.shape[1]) for image in (first.main, first.side) if image is not None]
        if not shapes:
            raise CameraError(plan.camera, f"frame {first.seq} has no view at all")
        sizes = ViewSizes(
            shapes[0] if plan.role.has_main else None, shapes[-1] if plan.role.has_side else None
        )
        facts.height, facts.width = sizes.main or (0, 0)
        facts.side_height, facts.side_width = sizes.side or (0, 0)
        return sizes

    def hello(self, sizes: ViewSizes, stream_id: bytes) -> Hello:
        """Return a live stream's hello."""
        plan = self.plan
        height, width = sizes.main or (0, 0)
        side_height, side_width = sizes.side or (0, 0)
        return Hello(
            vehicle=plan.vehicle,
            role=plan.role,
            bundle_id=self.parts.bundle_id,
            height=height,
            width=width,
            side_height=side_height,
            side_width=side_width,
            side_codec=plan.side_codec.codec if plan.role.has_side else None,
            frames_hint=self.frames_hint() or 0,
            camera=self.parts.camera.name[:256],
            mode=plan.mode,
            stream_id=stream_id,
            deadline_ms=plan.deadline_ms,
        )

    def frames_hint(self) -> int | None:
        """Return how many frames will come, where that is known."""
        camera = self.parts.camera
        return len(camera) if isinstance(camera, Sized) else self.plan.frames

    def side_encoder(self) -> SideEncoder | None:
        """Return the encoder of the side view, if one is sent."""
        plan = self.plan
        if not plan.role.has_side:
            return None
        return open_side_encoder(plan.side_codec, plan.pace_fps or self.parts.camera.fps)

    def pipeline(
        self,
        sizes: ViewSizes,
        queue: BoundedQueue[Outgoing],
        side_encoder: SideEncoder | None,
        quality: Callable[[], Decision],
    ) -> Pipeline:
        """Return the way from the camera to `queue`."""
        plan, camera = self.plan, self.parts.camera
        return Pipeline(
            plan.camera,
            sizes,
            queue,
            self.stats,
            main_encoder=self.parts.encoder,
            side_encoder=side_encoder,
            quality=quality,
            wait=plan.wait,
            pacer=None if plan.fps == 0 or plan.is_device else Pacer(plan.pace_fps or camera.fps),
            deadline_ms=plan.deadline_ms,
            packer=self._packer(),
            counts=plan.mode is Mode.LIVE,
        )

    def _packer(self) -> TelemetryPacker | None:
        """Return what gathers the rig's records; they travel with the main view."""
        if not (self.plan.telemetry and self.plan.role.has_main):
            return None
        return TelemetryPacker.for_mode(self.plan.mode, self.parts.codec, self.stats)

    def _quality(
        self, control: RateController | None, queue: BoundedQueue[Outgoing], courier: Courier
    ) -> Callable[[], Decision]:
        if control is None:
            return self.fixed_quality()

        def follow() -> Decision:
            return control.decide(self.stats.clock(), Load(len(queue), queue.capacity, courier.lag_ms()))

        return follow

    def fixed_quality(self) -> Callable[[], Decision]:
        """Return the decision for every frame where there is no load to follow: full queues are normal then."""
        decision = Decision(START_QUALITY if self.plan.quality is None else self.plan.quality)
        return lambda: decision

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show a bar on a terminal while something goes on."""
        progress = Progress(self.frames_hint())
        try:
            yield progress
        finally:
            progress.close()


class _LiveDialer:
    """Connect as often as it takes, always with the same hello."""

    def __init__(self, source: LiveSource, hello: Hello) -> None:
        self.source = source
        self._hello = hello

    def dial(self, over: Callable[[], bool]) -> Call:
        """Return the connection."""
        return Call(self._hello)

    def tick(self) -> None:
        """Do nothing."""

    def hung_up(self, failure: MdicError | None) -> None:
        """Do nothing: what was in flight is lost, and stays counted as unsettled."""
