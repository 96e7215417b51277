from __future__ import annotations

from typing import cast

import pytest

from benchmarks.link.corpus import Corpus
from benchmarks.link.policies import Aim, Planned
from benchmarks.link.sender import Line, Observed, drive, hello_for
from common.stream.messages import Ack, MainFrame, Role, SideFrame, Status
from edge.outgoing import Outgoing
from edge.ratecontrol import Decision, Load

CORPUS = Corpus(64, 128, b"12345678", (tuple(bytes(q + 1) for q in range(8)),), (b"side",))


class FakeLine:
    """Keep what is offered; the third frame pushes the second out."""

    def __init__(self) -> None:
        self.offered: list[Outgoing] = []

    def load(self) -> Load:
        return Load()

    def offer(self, item: Outgoing) -> Outgoing | None:
        self.offered.append(item)
        return self.offered[1] if len(self.offered) == 3 else None


def test_every_captured_frame_has_a_row() -> None:
    line, stats = FakeLine(), Observed()
    plan = Planned([Decision(7), Decision(0, 2), Decision(0, 2, send=False), Decision(3)])
    drive(cast(Line, line), CORPUS, plan, stats, Aim(4, 1_000_000, 500_000_000), stats.clock())
    assert [row.fate for row in stats.rows] == ["unsettled", "send_queue", "thinned", "unsettled"]
    first = line.offered[0]
    assert first.main == MainFrame(0, 0, bytes(8))
    assert first.side == SideFrame(0, 0, b"side")
    assert (first.quality, first.taken_ns) == (7, stats.captured_ns[0])

    stats.sent(SideFrame(3, 3_000_000, b"side"), 20)
    stats.sent(MainFrame(3, 3_000_000, bytes(4)), 22)
    stats.acknowledged(Ack(3, Status.DECODED), 5.0)
    stats.acknowledged(Ack(0, Status.DROPPED, detail="late"), 5.0)
    assert stats.rows[3].size == 20 + 22 + 2 * 14
    assert stats.rows[3].fate == "decoded"
    assert stats.rows[3].acked_ms is not None
    assert stats.rows[0].fate == "cloud: late"
    assert stats.frames["decoded"] == 1


@pytest.mark.parametrize(("sides", "role"), [((b"x",), Role.BOTH), ((), Role.MAIN)])
def test_hello(sides: tuple[bytes, ...], role: Role) -> None:
    hello = hello_for(Corpus(64, 128, b"12345678", CORPUS.packets, sides), "jpeg:10", 800)
    assert (hello.role, hello.deadline_ms, hello.height, hello.width) == (role, 800, 64, 128)
    assert (hello.side_codec is None) == (role is Role.MAIN)
