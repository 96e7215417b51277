"""`mdic-cloud refine`: forwards to the refinement's trainer."""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Refine with the arguments after `refine`."""
    from cloud.training.refine import main

    return int(main(list(argv)) or 0)
