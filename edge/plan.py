"""What `mdic-edge stream` was asked to do, and what it runs on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common.stream.messages import Mode, Role
from common.telemetry import TelemetryCodec
from common.types import SideCodec
from edge.credentials import Credentials
from edge.ratecontrol import START_QUALITY
from edge.sidecodec import SideCodecSpec
from edge.spool import DEFAULT_BYTES

if TYPE_CHECKING:
    from edge.camera import Camera
    from edge.pipeline import MainEncoder


@dataclass(frozen=True)
class StreamPlan:
    """What `mdic-edge stream` was asked to do, checked.

    Attributes:
        quality: fixed index, or None to follow the load.
        fps: frames a second, dropping what cannot keep up; 0: as fast as the cloud takes them, without drops.
            None is the camera's own rate: a device drops, a recording or a street slows down instead.
        frames: stop after that many; None goes on to the camera's end.
        timeout_s: give up when the cloud settles nothing for that long while it owes an answer.
        credentials: files that say who we are and whom we trust.
        mode: live, or durable with a spool.
        spool: durable: its folder.
        spool_bytes: durable: bound on what waits there.
        spool_age_s: durable: frames older than this are given up; None keeps them.
        deadline_ms: live: age at which a frame is useless; 0 for none.
        reconnect: live: come back after a cut; None: when the camera does not wait.
        telemetry: send the rig's records with the main view.
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
    credentials: Credentials = field(default_factory=Credentials)
    mode: Mode = Mode.LIVE
    spool: Path | None = None
    spool_bytes: int = DEFAULT_BYTES
    spool_age_s: float | None = None
    deadline_ms: int = 0
    reconnect: bool | None = None
    telemetry: bool = True

    @property
    def wait(self) -> bool:
        """Whether back-pressure slows the camera instead of dropping frames; a durable recording is never cut short."""
        return self.fps == 0 or (not self.is_device and (self.fps is None or self.mode is Mode.DURABLE))

    @property
    def pace_fps(self) -> float | None:
        """Rate to ask of the camera; None for its own."""
        return self.fps or None

    @property
    def is_device(self) -> bool:
        """Whether the camera keeps its own time."""
        return self.camera.startswith("v4l2:")

    @property
    def comes_back(self) -> bool:
        """Whether a lost connection is opened anew."""
        if self.mode is Mode.DURABLE:
            return True
        return not self.wait if self.reconnect is None else self.reconnect


@dataclass(frozen=True)
class StreamParts:
    """What a stream runs on; tests bring their own. `codec` packs the rig's records."""

    camera: Camera
    encoder: MainEncoder | None
    bundle_id: bytes = b""
    codec: TelemetryCodec = field(default_factory=TelemetryCodec)
