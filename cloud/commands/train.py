"""`mdic-cloud train`: forwards to the trainer, which only this command knows of."""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Train with the arguments after `train`."""
    from cloud.training.__main__ import main

    return int(main(list(argv)) or 0)
