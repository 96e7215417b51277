from __future__ import annotations

import io
import sys

import pytest

from edge.progress import Progress
from edge.report import StreamStats


def test_bar_follows_the_acks_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        stats, progress = StreamStats(), Progress(10)
        stats.frames.add("decoded", 4)
        progress.update_to(stats)
        progress.update_to(stats)
        progress.close()
        assert ("4/10" in stream.getvalue()) is shown
