"""Open the camera that a command line names.

kitti:DIR                          any layout of common.datasets, with its capture times
synthetic[:SEED[:HxW]]             a procedural street (seed 0, 256x832), without end
video:FILE[?layout=sbs|mono]       a recording; sbs (default): left half main, right half side; mono: no side
v4l2:N[?layout=sbs|mono&size=HxW]  /dev/videoN, stamped by the clock when captured; size of the whole picture
"""

from __future__ import annotations

import math
import re
import time

from common.errors import CameraError
from edge.camera.base import Camera
from edge.camera.dataset import DatasetCamera
from edge.camera.device import Clock, DeviceCamera
from edge.camera.layout import parse_layout
from edge.camera.synthetic import SyntheticCamera
from edge.camera.video import VideoCamera

KNOWN = "kitti:DIR, synthetic[:SEED[:HxW]], video:FILE[?layout=sbs|mono], v4l2:N[?layout=sbs|mono&size=HxW]"
_MAX_SIDE = 16384


def open_camera(
    spec: str, fps: float | None = None, limit: int | None = None, clock: Clock = time.time_ns
) -> Camera:
    """Open a camera by its spec (see the module's text).

    Args:
        spec: What to open.
        fps: Frame rate to use instead of the camera's own.
        limit: Yield at most so many frames.
        clock: Stamps the frames of live cameras; recorded and synthetic frames carry their own times.

    Raises:
        CameraError: The spec makes no sense, or the camera is not there.
        InputError: The dataset or the frame size cannot be used.
        MissingDependency: An optional package is needed for this camera.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise CameraError(spec, f"{fps:g} frames per second is no frame rate")
    if limit is not None and limit < 0:
        raise CameraError(spec, f"cannot yield {limit} frames")
    kind, _, rest = spec.partition(":")
    if kind == "kitti" and rest:
        return DatasetCamera(spec, rest, fps, limit)
    if kind == "synthetic":
        seed_text, _, size_text = rest.partition(":")
        if not re.fullmatch(r"[0-9]{0,18}", seed_text):
            raise CameraError(spec, f"the seed must be a whole number, not {seed_text!r}")
        height, width = _size(spec, size_text) if size_text else (256, 832)
        return SyntheticCamera(spec, int(seed_text or 0), height, width, fps, limit)
    if kind == "video" and rest:
        # Only a tail that looks like options is one: file names may hold question marks.
        match = re.fullmatch(r"(?s)(.*)\?(\w+=[^?/]*)", rest)
        path, options = (match[1], _options(spec, match[2], {"layout"})) if match else (rest, {})
        return VideoCamera(spec, path, parse_layout(spec, options.get("layout", "sbs")), fps, limit)
    if kind == "v4l2" and rest:
        number, _, tail = rest.partition("?")
        if not re.fullmatch(r"[0-9]{1,4}", number):
            raise CameraError(spec, f"the device must be a number, not {number!r}")
        options = _options(spec, tail, {"layout", "size"})
        size = _size(spec, options["size"]) if "size" in options else None
        layout = parse_layout(spec, options.get("layout", "sbs"))
        return DeviceCamera(spec, int(number), clock, layout, size, fps, limit)
    raise CameraError(spec, f"not a camera we know ({KNOWN})")


def _size(spec: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match and 0 < int(match[1]) <= _MAX_SIDE and 0 < int(match[2]) <= _MAX_SIDE:
        return int(match[1]), int(match[2])
    raise CameraError(spec, f"the size must be HEIGHTxWIDTH, not {text!r}")


def _options(spec: str, text: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        key, _, value = part.partition("=")
        if key not in known:
            raise CameraError(spec, f"unknown option {key!r} (known: {', '.join(sorted(known))})")
        found[key] = value
    return found
