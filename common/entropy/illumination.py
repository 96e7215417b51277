"""The illumination: a few waves as long as the picture, last in the payload (proto/BITSTREAM.md, section 5.2).

Two cameras see one road in two lights: exposure differs, and so does what each lens does to its corners. The side view
cannot tell, and latents tell geometry. Here a handful of the lowest waves of the picture is sent, each as the interval
that it lies in; the decoder moves its own picture's waves there (illumination compensation, as in multiview video
coding; Hur, Cho and Lee 2007, IEEE TCSVT 17(11)). As with the refinement, the error of a plane can only become smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.segments import decode_segment, encode_segment, segment_bits
from common.entropy.tables import CdfTables, int32_array
from common.errors import BundleCorrupt
from common.illumination import MOST_WAVES, PLANES, Wave

UNIT = 4096
"""Means and steps are given in 1/4096 of the range from black to white."""
LIMIT = 65535
"""Largest magnitude of a level, a mean or a step."""
MOST_HALVES = 16
COUNT = "light_count"
"""Its presence says that a bundle has an illumination."""


@dataclass(frozen=True, eq=False)
class Illumination:
    """What a frame's illumination says.

    Attributes:
        levels: (K,) int32, the integers coded.
        waves: the K waves they are of.
        low, high: (K,) float64, the interval of each wave's coefficient; black is 0, white 1.
    """

    levels: NDArray[np.int32]
    waves: list[Wave]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class IlluminationCodec:
    """Code a frame's longest waves with the tables of one bundle; holds no state between frames."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], qualities: int, file: str) -> None:
        """Check and take a bundle's arrays; section 5.2 of the specification names them.

        Raises:
            BundleCorrupt: an array is missing or breaks its rules.
        """
        waves = int32_array(arrays, "light_wave", 2, file)
        step, mean = (int32_array(arrays, f"light_{name}", 1, file) for name in ("step", "mean"))
        count, cdf = int32_array(arrays, COUNT, 1, file), int32_array(arrays, "light_cdf", 2, file)
        most = len(waves)
        shapes = waves.shape[1:] == (3,) and step.shape == mean.shape == (most,) and len(cdf) == most
        if not shapes or count.shape != (qualities,):
            raise BundleCorrupt(file, f"the light_ arrays do not fit {most} waves and {qualities} qualities")
        self.waves: list[Wave] = [(int(p), int(v), int(u)) for p, v, u in waves]
        if most > MOST_WAVES or len(set(self.waves)) < most:
            raise BundleCorrupt(file, f"light_wave: at most {MOST_WAVES} waves, each once")
        if (waves < 0).any() or (waves >= [PLANES, MOST_HALVES, MOST_HALVES]).any():
            raise BundleCorrupt(file, "light_wave holds a value out of range")
        if (step < 1).any() or (step > LIMIT).any() or (np.abs(mean.astype(np.int64)) > LIMIT).any():
            raise BundleCorrupt(file, "light_step or light_mean holds a value out of range")
        if (count < 0).any() or (count > most).any():
            raise BundleCorrupt(file, "light_count holds a value out of range")
        self._step, self._mean = step.astype(np.float64) / UNIT, mean.astype(np.float64) / UNIT
        self._count = count
        self._tables = CdfTables(cdf, f"{file}: light_cdf")

    def count(self, quality: int, waves: int | None = None) -> int:
        """Return how many waves a frame of the codec's `quality` carries: `waves`, unless it is None."""
        return int(self._count[quality]) if waves is None else waves

    def quantise(self, coefficients: NDArray[np.float64], count: int) -> Illumination:
        """Return the illumination of coefficients (K,) of all `waves` (`common.illumination`): the first `count`."""
        x = (coefficients[:count] - self._mean[:count]) / self._step[:count]
        return self._illumination(np.clip(np.rint(x), -LIMIT, LIMIT).astype(np.int32))

    def encode(self, encoder: RangeEncoder, levels: NDArray[np.int32]) -> None:
        """Append levels (K,) to a payload."""
        encode_segment(encoder, self._tables, np.arange(levels.size), levels)

    def decode(self, decoder: RangeDecoder, count: int) -> Illumination:
        """Read what `encode` wrote of `count` waves.

        Raises:
            CorruptPayload: the bytes cannot have come from the encoder.
        """
        return self._illumination(decode_segment(decoder, self._tables, range(count), LIMIT))

    def bits(self, levels: NDArray[np.int32]) -> float:
        """Return the ideal length of `levels` in bits."""
        return segment_bits(self._tables, np.arange(levels.size), levels)

    def _illumination(self, levels: NDArray[np.int32]) -> Illumination:
        count = levels.size
        centre, step = self._mean[:count] + levels * self._step[:count], self._step[:count]
        return Illumination(levels, self.waves[:count], centre - step / 2, centre + step / 2)
