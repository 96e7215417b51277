"""`mdic-cloud contexts`: forwards to the context tables' fit."""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Fit with the arguments after `contexts`."""
    from cloud.training.contexts import main

    return int(main(list(argv)) or 0)
