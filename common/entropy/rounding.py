"""How the encoder rounds latents: its own affair, which a bundle may tune for each quality (`round_at`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.entropy.tables import int32_array
from common.errors import BundleCorrupt


def rounded(values: NDArray[np.float32], at: float = 0.5) -> NDArray[np.float32]:
    """Round to integers, up from `at` on: above 0.5 a symbol must be worth more than half to leave the zero.

    Halves go to even at 0.5. Values that are no numbers are refused.
    """
    if not np.isfinite(values).all():
        raise BundleCorrupt("encoder", "its latents are not finite numbers")
    if at == 0.5:
        return np.asarray(np.rint(values), np.float32)
    whole = np.sign(values) * np.floor(np.abs(values) + np.float32(1 - at))
    return np.asarray(whole, np.float32)


def rounding(arrays: Mapping[str, NDArray[np.generic]], qualities: int, file: str) -> list[float]:
    """Return where each quality's residuals are rounded up: the encoder's affair alone (`round_at`, in percent).

    Raises:
        BundleCorrupt: the array is not (Q,) int32 between 50 and 100.
    """
    if "round_at" not in arrays:
        return [0.5] * qualities
    percent = int32_array(arrays, "round_at", 1, file)
    if percent.shape != (qualities,) or (percent < 50).any() or (percent > 100).any():
        raise BundleCorrupt(file, f"round_at {percent.tolist()}: expected {qualities} numbers, 50 to 100")
    return [float(p) / 100 for p in percent]
