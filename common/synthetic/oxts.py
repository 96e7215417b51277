"""Write the OXTS record of an instant of a synthetic drive: what KITTI's inertial unit would say of that path.

Position, velocities and rates follow the ego car's own path; noise, biases and reception are made up in the
proportions of such a unit. Thirty numbers on a line, fourteen digits each, as KITTI raw has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.synthetic.geometry import Array
from common.synthetic.path import EgoPath, choose_style, seed_words

FIELDS = [
    "lat",
    "lon",
    "alt",
    "roll",
    "pitch",
    "yaw",
    "vn",
    "ve",
    "vf",
    "vl",
    "vu",
    "ax",
    "ay",
    "az",
    "af",
    "al",
    "au",
    "wx",
    "wy",
    "wz",
    "wf",
    "wl",
    "wu",
    "pos_accuracy",
    "vel_accuracy",
    "navstat",
    "numsats",
    "posmode",
    "velmode",
    "orimode",
]
_DRIVE_STREAM, _RECORD_STREAM = 97, 96
_STEP_S = 0.05
_METRES_A_DEGREE = 111_320.0
_GRAVITY = 9.81


class OxtsRecorder:
    """Write the records of one drive; each depends on the seed and its index alone.

    Args:
        seed: Chooses the street, as in `StereoStreet`, and where on the globe it lies.
        fps: Records per second.
    """

    def __init__(self, seed: int, fps: float = 10.0) -> None:
        self._seed, self._fps = seed, float(fps)
        self._path = EgoPath(choose_style(seed))
        rng = np.random.default_rng([*seed_words(seed), _DRIVE_STREAM])
        self._origin = np.array((49.0 + rng.uniform(-0.06, 0.06), 8.43 + rng.uniform(-0.09, 0.09)))
        self._altitude_m, self._slope = float(rng.uniform(105, 125)), float(rng.normal(0, 0.008))
        self._yaw = float(rng.uniform(-np.pi, np.pi))
        self._bias = np.concatenate((rng.normal(0, 0.02, 3), rng.normal(0, 0.0015, 3)))
        self._noise = np.repeat((rng.uniform(0.1, 0.5), rng.uniform(0.003, 0.02)), 3)
        self._satellites, self._phase = int(rng.integers(6, 11)), float(rng.uniform(0, 6.3))
        self._accuracy = float(rng.uniform(0.01, 0.15)), float(rng.uniform(0.008, 0.03))
        self._modes = (4, 4, 0) if rng.random() < 0.4 else (6, 6, 6)

    def record(self, index: int) -> bytes:
        """Return record `index` (0 and up): thirty numbers and a line feed."""
        rng = np.random.default_rng([*seed_words(self._seed), _RECORD_STREAM, index])
        return (" ".join(_text(value) for value in self.values(index, rng)) + "\n").encode()

    def values(self, index: int, rng: np.random.Generator) -> list[float | int]:
        """Return the thirty values in the order of `FIELDS`."""
        seconds = index / self._fps
        place, velocity, acceleration = self._motion(seconds)
        before, heading, after = (self._heading(seconds + step) for step in (-_STEP_S, 0.0, _STEP_S))
        turn = float(np.angle(np.exp(1j * (after - before)))) / (2 * _STEP_S)
        place = place + rng.normal(0, (0.002, 0.002, 0.004))
        velocity = velocity + rng.normal(0, (0.004, 0.004, 0.008))
        cos, sin = np.cos(heading), np.sin(heading)
        forward, left = velocity[0] * cos + velocity[1] * sin, velocity[1] * cos - velocity[0] * sin
        pull = acceleration[0] * cos + acceleration[1] * sin, acceleration[1] * cos - acceleration[0] * sin
        roll = 0.03 + 0.004 * pull[1] + float(rng.normal(0, 0.003))
        pitch = -self._slope + 0.003 * pull[0] + float(rng.normal(0, 0.003))
        level = np.array((*pull, _GRAVITY)) + rng.normal(0, self._noise[:3])
        rates = np.array((0.0, 0.0, turn)) + rng.normal(0, self._noise[3:])
        body = level + np.array((pitch, -roll, 0.0)) * -_GRAVITY + self._bias[:3]
        body_rates = rates + np.array((-pitch, roll, 0.0)) * turn + self._bias[3:]
        wobble = np.sin(0.05 * seconds + self._phase + np.array((0.0, 1.3, 2.1)))
        accuracy = np.array(self._accuracy) * (1 + 0.2 * wobble[:2]) + rng.normal(0, 2e-5, 2)
        satellites = self._satellites + round(float(1.4 * wobble[2]))
        latitude = self._origin[0] + place[1] / _METRES_A_DEGREE
        longitude = self._origin[1] + place[0] / (_METRES_A_DEGREE * np.cos(np.radians(self._origin[0])))
        return [
            latitude, longitude, place[2], round(roll, 6), round(pitch, 6), heading,
            velocity[1], velocity[0], forward, left, velocity[2],
            *body, *level, *body_rates, *rates, *accuracy, 4, satellites, *self._modes,
        ]  # fmt: skip

    def _position(self, seconds: float) -> Array:
        """Return east, north and up in metres: the street laid out from its origin in its own direction."""
        eye = self._path.pose(seconds).eye
        cos, sin = np.cos(self._yaw), np.sin(self._yaw)
        along, right = float(eye[2]), float(eye[0])
        up = self._altitude_m + self._slope * along + 0.012 * float(np.sin(5.3 * seconds))
        return np.array((along * cos + right * sin, along * sin - right * cos, up))

    def _motion(self, seconds: float) -> tuple[Array, Array, Array]:
        """Return position, velocity and acceleration, each east, north and up."""
        before, now, after = (self._position(seconds + step) for step in (-_STEP_S, 0.0, _STEP_S))
        return now, (after - before) / (2 * _STEP_S), (after - 2 * now + before) / _STEP_S**2

    def _heading(self, seconds: float) -> float:
        """Return the car's direction in radians, 0 for east, counted against the clock, -pi to pi."""
        path = self._path
        turned = path.heading(path.ego_v(seconds)) + 0.006 * float(np.sin(0.9 * seconds))
        return float(np.angle(np.exp(1j * (self._yaw - turned))))


def parse_record(line: bytes) -> dict[str, float]:
    """Return a record's values by name.

    Raises:
        ValueError: it is not thirty numbers.
    """
    values: Sequence[bytes] = line.split()
    return dict(zip(FIELDS, map(float, values), strict=True))


def _text(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{float(value):.14g}"
