"""`mdic-cloud export`: forwards to the exporter."""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Export with the arguments after `export`."""
    from cloud.export import main

    return int(main(list(argv)) or 0)
