"""`mdic-cloud illuminate`: forwards to the illumination's fit."""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Fit with the arguments after `illuminate`."""
    from cloud.training.illuminate import main

    return int(main(list(argv)) or 0)
