"""Get stereo frames from a dataset, a synthetic street, a recording or a live camera."""

from edge.camera.base import Camera
from edge.camera.spec import open_camera

__all__ = ["Camera", "open_camera"]
