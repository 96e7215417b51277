"""One run of a camera into a cloud: open, carry, settle, report."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from common.errors import CameraError, MdicError, ProtocolViolation, StreamError
from common.stream.messages import Hello, Role
from common.types import SideCodec, StereoFrame
from edge.pacing import Pacer
from edge.pipeline import MainEncoder, Pipeline, ViewSizes
from edge.ratecontrol import START_QUALITY, Load, RateController
from edge.report import StreamFacts, StreamStats, report
from edge.sidecodec import SideCodecSpec, open_side_encoder
from edge.uplink import Uplink

if TYPE_CHECKING:
    from edge.camera import Camera

_TICK_S = 0.1


@dataclass(frozen=True)
class StreamPlan:
    """What `mdic-edge stream` was asked to do, checked.

    Attributes:
        quality: fixed index, or None to follow the load.
        fps: frames a second, dropping what cannot keep up; 0: as fast as the cloud takes them, without drops.
            None is the camera's own rate: a device drops, a recording or a street slows down instead.
        frames: stop after that many; None goes on to the camera's end.
        timeout_s: give up when the cloud is silent for that long while it owes an answer.
    """

    camera: str
    cloud: str
    vehicle: str
    role: Role = Role.BOTH
    quality: int | None = START_QUALITY
    fps: float | None = None
    frames: int | None = None
    side_codec: SideCodecSpec = field(default_factory=lambda: SideCodecSpec(SideCodec.WEBP_LOSSLESS))
    bundle: str | None = None
    threads: int = 0
    timeout_s: float = 60.0

    @property
    def wait(self) -> bool:
        """Whether back-pressure slows the camera instead of dropping frames."""
        return self.fps == 0 or (self.fps is None and not self.is_device)

    @property
    def pace_fps(self) -> float | None:
        """Rate to ask of the camera; None for its own."""
        return self.fps or None

    @property
    def is_device(self) -> bool:
        """Whether the camera keeps its own time."""
        return self.camera.startswith("v4l2:")


@dataclass(frozen=True)
class StreamParts:
    """What a stream runs on; tests bring their own."""

    camera: Camera
    encoder: MainEncoder | None
    bundle_id: bytes = b""


class StreamSession:
    """One run of a camera into a cloud."""

    def __init__(self, plan: StreamPlan, parts: StreamParts) -> None:
        self.plan, self._parts = plan, parts
        self.stats = StreamStats()
        self.facts = StreamFacts(
            camera=plan.camera,
            cloud=plan.cloud,
            vehicle=plan.vehicle,
            role=plan.role.name.lower(),
            quality="auto" if plan.quality is None else plan.quality,
            bundle=parts.bundle_id.hex() or None,
            side_codec=str(plan.side_codec) if plan.role.has_side else None,
        )
        self._stop = threading.Event()
        self.warnings: list[str] = []

    def stop(self) -> None:
        """Ask for an orderly end: capture nothing more, send the rest, wait for the acks."""
        self._stop.set()

    def summary(self, error: MdicError | None = None) -> dict[str, Any]:
        """Return the report of the run."""
        return report(self.facts, self.stats, error)

    def run(self) -> MdicError | None:
        """Stream to the end; return what went wrong after the welcome, if anything.

        Raises:
            MdicError: the stream could not begin.
        """
        camera = self._parts.camera
        try:
            frames = iter(camera.frames())
            first = self._first_frame(frames)
            sizes = self._sizes(first)
            uplink = Uplink(self.plan.cloud, self._hello(sizes), self.stats, wait=self.plan.wait)
            try:
                self.facts.session = uplink.connect().session
                return self._carry(uplink, sizes, chain([first], frames))
            finally:
                uplink.close()
        finally:
            camera.close()

    def _first_frame(self, frames: Iterator[StereoFrame]) -> StereoFrame:
        first = next(frames, None)
        if first is None:
            raise CameraError(self.plan.camera, "gave no frame at all")
        return first

    def _sizes(self, first: StereoFrame) -> ViewSizes:
        """Return the sizes to announce; a view missing from the first frame is taken to be like the other."""
        shapes = [(image.shape[0], image.shape[1]) for image in (first.main, first.side) if image is not None]
        if not shapes:
            raise CameraError(self.plan.camera, f"frame {first.seq} has no view at all")
        role = self.plan.role
        return ViewSizes(shapes[0] if role.has_main else None, shapes[-1] if role.has_side else None)

    def _hello(self, sizes: ViewSizes) -> Hello:
        plan, facts = self.plan, self.facts
        facts.height, facts.width = sizes.main or (0, 0)
        facts.side_height, facts.side_width = sizes.side or (0, 0)
        return Hello(
            vehicle=plan.vehicle,
            role=plan.role,
            bundle_id=self._parts.bundle_id,
            height=facts.height,
            width=facts.width,
            side_height=facts.side_height,
            side_width=facts.side_width,
            side_codec=plan.side_codec.codec if plan.role.has_side else None,
            frames_hint=self._frames_hint() or 0,
            camera=self._parts.camera.name[:256],
        )

    def _frames_hint(self) -> int | None:
        """Return how many frames will come, where that is known."""
        camera = self._parts.camera
        return len(camera) if isinstance(camera, Sized) else self.plan.frames

    def _carry(self, uplink: Uplink, sizes: ViewSizes, frames: Iterable[StereoFrame]) -> MdicError | None:
        plan = self.plan
        side_encoder = None
        if plan.role.has_side:
            side_encoder = open_side_encoder(plan.side_codec, plan.pace_fps or self._parts.camera.fps)
        pipeline = Pipeline(
            plan.camera,
            sizes,
            uplink.queue,
            self.stats,
            main_encoder=self._parts.encoder,
            side_encoder=side_encoder,
            quality=self._quality(uplink),
            wait=plan.wait,
            pacer=None if plan.fps == 0 or plan.is_device else Pacer(plan.pace_fps or self._parts.camera.fps),
        )
        with self._progress() as progress:
            pipeline.start(frames)
            while not (pipeline.done or uplink.done or self._stop.is_set()):
                time.sleep(_TICK_S)
                progress.update_to(self.stats)
                if plan.wait and uplink.window_full and uplink.silence_s > plan.timeout_s:
                    uplink.give_up(self._silent())
            pipeline.stop()
            if not pipeline.join(plan.timeout_s):
                uplink.give_up(
                    StreamError(f"encoding did not finish within {plan.timeout_s:g} s of the stop")
                )
            uplink.finish()
            self._await_end(uplink, progress)
        if side_encoder is not None:
            side_encoder.close()
        self.warnings += pipeline.warnings
        return self._verdict(pipeline, uplink)

    def _await_end(self, uplink: Uplink, progress: _Progress) -> None:
        """Wait for the last acks and the goodbye; a silent cloud or a stop that takes too long ends it."""
        begun = time.monotonic()
        while not uplink.wait_done(_TICK_S):
            progress.update_to(self.stats)
            over = self._stop.is_set() and time.monotonic() - begun > self.plan.timeout_s
            if over or uplink.silence_s > self.plan.timeout_s:
                uplink.give_up(self._silent())

    def _silent(self) -> MdicError:
        left = self.stats.unsettled
        return ProtocolViolation(f"{left} frames sent have no ack {self.plan.timeout_s:g} s later; gave up")

    def _verdict(self, pipeline: Pipeline, uplink: Uplink) -> MdicError | None:
        """Return the error that a run ends with, the earliest cause first.

        Raises:
            Exception: a defect in the pipeline, as it is.
        """
        if pipeline.failure is not None and not isinstance(pipeline.failure, MdicError):
            raise pipeline.failure
        error = uplink.failure or pipeline.failure
        if error is not None:
            return error
        failed = self.stats.frames["failed"]
        if failed:
            return StreamError(
                f"{failed} frames failed in the cloud: {next(iter(self.stats.cloud_drops.as_dict()))}"
            )
        if self.stats.unsettled:
            return ProtocolViolation(f"goodbye with {self.stats.unsettled} frames unsettled")
        return None

    def _quality(self, uplink: Uplink) -> Callable[[], int]:
        fixed = self.plan.quality
        if fixed is None and self.plan.wait:
            fixed = START_QUALITY  # full queues are the normal state then: there is no load to follow
        if fixed is not None:
            return lambda: fixed
        control = RateController()

        def follow() -> int:
            load = Load(len(uplink.queue), uplink.queue.capacity, uplink.lag_ms())
            return control.update(self.stats.clock(), load)

        return follow

    @contextmanager
    def _progress(self) -> Iterator[_Progress]:
        bar = tqdm(total=self._frames_hint(), unit="frame", file=sys.stderr, disable=not sys.stderr.isatty())
        try:
            yield _Progress(bar)
        finally:
            bar.close()


class _Progress:
    """Show counters on a terminal."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def update_to(self, stats: StreamStats) -> None:
        """Show where the stream is."""
        drops = stats.main_drops.total + stats.side_drops.total + stats.frames["dropped_by_cloud"]
        self._bar.set_postfix(
            sent=stats.frames["main_sent"] or stats.frames["side_sent"], dropped=drops, refresh=False
        )
        self._bar.update(max(0, (stats.acked or stats.frames["side_sent"]) - self._bar.n))
