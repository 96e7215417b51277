"""Show where a stream is, on a terminal only."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from edge.report import StreamStats


class Progress:
    """Draw one bar on standard error while it is a terminal."""

    def __init__(self, total: int | None) -> None:
        self._bar: Any = tqdm(total=total, unit="frame", file=sys.stderr, disable=not sys.stderr.isatty())

    def update_to(self, stats: StreamStats) -> None:
        """Show the counters."""
        drops = stats.main_drops.total + stats.side_drops.total + stats.frames["dropped_by_cloud"]
        self._bar.set_postfix(
            sent=stats.frames["main_sent"] or stats.frames["side_sent"], dropped=drops, refresh=False
        )
        self._bar.update(max(0, (stats.acked or stats.frames["side_sent"]) - self._bar.n))

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
