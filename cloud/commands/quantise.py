"""`mdic-cloud quantise`: forwards to the bundle's own module."""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Quantise with the arguments after `quantise`."""
    from cloud.quantise import main

    return int(main(list(argv)) or 0)
