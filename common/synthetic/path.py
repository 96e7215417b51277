"""Choose the style of a street from its seed, and answer where its ego car is at any time; draws nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.synthetic.geometry import Array, Light, Pose

STYLE_STREAM = 1


@dataclass(frozen=True)
class Style:
    """Hold the choices that make one street differ from another."""

    urban: bool
    lane_m: float
    parking_m: float
    pavement_m: float
    garden_m: float
    trees: float
    parked: float
    traffic: float
    people: float
    autumn: float
    bend_m: float
    bend_length_m: float
    bend_phase: float
    speed_mps: float
    cloudiness: float
    haze_m: float
    light: Light
    haze: tuple[float, float, float]

    @property
    def half_road_m(self) -> float:
        """Return the distance from the centre line to the kerb."""
        return self.lane_m + self.parking_m


def seed_words(seed: int) -> list[int]:
    """Return a seed of any size and sign as what numpy's generators take."""
    return [seed] if seed >= 0 else [-seed, 0x6E6567]


def choose_style(seed: int) -> Style:
    """Return the style of the street of a seed."""
    rng = np.random.default_rng([*seed_words(seed), STYLE_STREAM])
    urban = bool(rng.random() < 0.55)
    sunny = bool(rng.random() < 0.65)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(26, 62))
    sun = np.array(
        (np.cos(azimuth) * np.cos(elevation), np.sin(elevation), np.sin(azimuth) * np.cos(elevation))
    )
    warm = float(rng.uniform(0.0, 0.08)) if sunny else float(rng.uniform(-0.05, 0.02))
    brightness = float(rng.uniform(0.82, 1.12))
    colour = (brightness * (1 + warm), brightness, brightness * (1 - 1.4 * warm))
    light = Light(sun, 0.66, 0.58, colour) if sunny else Light(sun, 0.93, 0.1, colour)
    haze = (206.0, 214.0, 222.0) if sunny else (214.0, 217.0, 220.0)
    return Style(
        urban=urban, lane_m=float(rng.uniform(3.0, 3.7)),
        parking_m=float(rng.choice([0.0, 2.1], p=(0.3, 0.7))), pavement_m=float(rng.uniform(1.8, 3.0)),
        garden_m=float(rng.uniform(0.0, 0.6)) if urban else float(rng.uniform(2.5, 5.5)),
        trees=float(rng.uniform(0.05, 0.6)) if urban else float(rng.uniform(0.35, 0.9)),
        parked=float(rng.uniform(0.25, 0.9)), traffic=float(rng.uniform(0.3, 1.0)),
        people=float(rng.uniform(0.0, 0.5)),
        autumn=float(rng.choice([0.0, 0.15, 0.6], p=(0.6, 0.25, 0.15))),
        bend_m=float(rng.uniform(0.0, 7.0)), bend_length_m=float(rng.uniform(220, 420)),
        bend_phase=float(rng.uniform(0, 2 * np.pi)), speed_mps=float(rng.uniform(5.0, 12.0)),
        cloudiness=float(rng.uniform(0.15, 0.5)) if sunny else float(rng.uniform(0.7, 1.0)),
        haze_m=float(rng.uniform(260, 900)), light=light, haze=haze,
    )  # fmt: skip


class EgoPath:
    """Follow the ego car along the street of a style."""

    def __init__(self, style: Style) -> None:
        self.style = style

    def bend(self, v_m: Array | float) -> Array:
        """Return the world X of the centre line at v."""
        s = self.style
        wave = np.sin(2 * np.pi / s.bend_length_m * np.asarray(v_m, float) + s.bend_phase)
        return np.asarray(s.bend_m * wave)

    def heading(self, v_m: float) -> float:
        """Return the direction of the street at v in radians, positive towards +X."""
        s = self.style
        k = 2 * np.pi / s.bend_length_m
        return float(np.arctan(s.bend_m * k * np.cos(k * v_m + s.bend_phase)))

    def ego_v(self, seconds: float) -> float:
        """Return how far along the street the ego car is: it speeds up and slows down smoothly."""
        v = self.style.speed_mps
        return 40.0 + v * seconds + 0.25 * v / 0.7 * float(np.sin(0.7 * seconds))

    def pose(self, seconds: float) -> Pose:
        """Return the pose of the main camera: in the right lane, swaying and pitching a little."""
        v = self.ego_v(seconds)
        sway = 0.18 * float(np.sin(0.35 * seconds + self.style.bend_phase))
        yaw = self.heading(v) + 0.006 * float(np.sin(0.9 * seconds))
        pitch = 0.0035 * float(np.sin(2.9 * seconds) + 0.5 * np.sin(7.1 * seconds + 1.0))
        height = 1.65 + 0.012 * float(np.sin(5.3 * seconds))
        return Pose.of(self.style.lane_m / 2 + sway + float(self.bend(v)), height, v, yaw, pitch)
