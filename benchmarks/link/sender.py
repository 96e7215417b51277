"""The vehicle of a link run: the product behind its encoder, fed with packets that were coded beforehand.

Run by `run.py` inside the edge's namespace. It loads a corpus, prints `ready`, reads the moment of link time 0 from its
standard input, connects before it, and then offers a frame each period as a live camera would. Encoding costs no
time here, so what is measured is the network and the control. At the end it prints one JSON object with a row for
every captured frame.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.link.corpus import Corpus, load
from benchmarks.link.policies import Aim, Policy, open_policy
from benchmarks.link.profiles import profile
from common.cli import run_main
from common.errors import MdicError
from common.stream.messages import Ack, Hello, MainFrame, Mode, Role, SideFrame, Status
from common.stream.queue import BoundedQueue
from common.stream.sender import Sender
from common.types import SideCodec
from edge.courier import Call, Courier
from edge.livesource import LiveSource
from edge.outgoing import Outgoing
from edge.ratecontrol import HIGHEST_QUALITY, Load, RateController
from edge.report import StreamStats, wire_bytes
from edge.uplink import SEND_QUEUE_FRAMES

NS_PER_S = 1_000_000_000
FINISH_S = 5.0
_MOST_NOTICES = 20


@dataclass
class Row:
    """One captured frame: times in ms after its capture; `fate` is the ack's status or why there is none."""

    seq: int
    quality: int
    divisor: int
    size: int = 0
    sent_ms: float | None = None
    acked_ms: float | None = None
    fate: str = "unsettled"


class Observed(StreamStats):
    """The uplink's own counters, which also keep each frame's row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.captured_ns: list[int] = []
        self._side: tuple[int, int] = (-1, 0)

    def sent(self, frame: MainFrame | SideFrame, message_bytes: int) -> None:
        """Note when a frame was handed to the connection."""
        super().sent(frame, message_bytes)
        size = wire_bytes(message_bytes)
        if isinstance(frame, SideFrame):
            self._side = (frame.seq, size)
            return
        row = self.rows[frame.seq]
        row.size = size + (self._side[1] if self._side[0] == frame.seq else 0)
        row.sent_ms = (self.clock() - self.captured_ns[frame.seq]) / 1e6

    def acknowledged(self, ack: Ack, latency_ms: float | None) -> None:
        """Note an ack."""
        row = self.rows[ack.seq]
        row.acked_ms = (self.clock() - self.captured_ns[ack.seq]) / 1e6
        row.fate = ack.status.name.lower() if ack.status is not Status.DROPPED else f"cloud: {ack.detail}"
        super().acknowledged(ack, latency_ms)


class LiveDialer:
    """Say the same hello for every connection, as long as the run lasts."""

    def __init__(self, hello: Hello, source: LiveSource) -> None:
        self._hello, self._source = hello, source

    @property
    def source(self) -> LiveSource:
        """Where frames come from."""
        return self._source

    def dial(self, over: Callable[[], bool]) -> Call | None:
        """Return the next connection to make."""
        return None if over() else Call(self._hello)

    def tick(self) -> None:
        """Do nothing."""

    def hung_up(self, failure: MdicError | None) -> None:
        """Do nothing."""


class Line:
    """The product's live path from the send queue on: queue, live source, courier, uplink."""

    def __init__(
        self, address: str, hello: Hello, stats: Observed, control: RateController | None, seconds: float
    ) -> None:
        change = threading.Condition()
        self._machine = Sender(Mode.LIVE, wait=False)
        self._queue: BoundedQueue[Outgoing] = BoundedQueue(SEND_QUEUE_FRAMES, change)
        source = LiveSource(self._queue, self._machine, change, stats, hello.deadline_ms)
        self._courier = Courier(
            address,
            LiveDialer(hello, source),
            self._machine,
            change,
            stats,
            comes_back=True,
            patience_s=seconds,
            listener=control,
            notice=self._note,
        )
        self._stats = stats
        self.notices: list[str] = []

    def open(self) -> None:
        """Connect for the first time.

        Raises:
            MdicError: no connection.
        """
        self._courier.connect()
        self._courier.start()

    def load(self) -> Load:
        """Return how full the send queue is."""
        return Load(len(self._queue), self._queue.capacity, self._courier.lag_ms())

    def offer(self, item: Outgoing) -> Outgoing | None:
        """Queue a frame; return the one that had to go for it."""
        return self._queue.put(item)

    def finish(self, timeout_s: float) -> dict[str, int]:
        """Send the end, wait for the last acks, and close; return how often the connection came and went."""
        self._queue.close()
        self._courier.wait_done(timeout_s)
        self._courier.close()
        if self._courier.defect is not None:
            raise self._courier.defect
        if self._courier.failure is not None:
            self._note(str(self._courier.failure))
        return self._stats.connections.as_dict()

    def _note(self, line: str) -> None:
        if len(self.notices) < _MOST_NOTICES:
            self.notices.append(line)


def drive(line: Line, corpus: Corpus, policy: Policy, stats: Observed, aim: Aim, epoch_ns: int) -> None:
    """Offer every frame at its time."""
    for number in range(aim.frames):
        captured = epoch_ns + number * aim.period_ns
        time.sleep(max(0.0, (captured - time.monotonic_ns()) / NS_PER_S))
        decision = policy.decide(time.monotonic_ns(), line.load())
        row = Row(number, decision.quality, decision.frame_divisor)
        stats.rows.append(row)
        stats.captured_ns.append(captured)
        if not decision.send:
            row.fate = "thinned"
            continue
        packet, side = corpus.packet(number, decision.quality), corpus.side(number)
        moment = number * aim.period_ns
        dropped = line.offer(
            Outgoing(
                captured,
                MainFrame(number, moment, packet),
                None if side is None else SideFrame(number, moment, side),
                decision.quality,
            )
        )
        if dropped is not None and dropped.main is not None:
            stats.rows[dropped.main.seq].fate = "send_queue"


def hello_for(corpus: Corpus, side: str, deadline_ms: int) -> Hello:
    """Return the greeting of a run: a live stream of the corpus's size."""
    codec = SideCodec.JPEG if side.startswith("jpeg") else SideCodec.WEBP_LOSSLESS
    seen = bool(corpus.sides)
    return Hello(
        vehicle=f"link-{secrets.token_hex(4)}",
        role=Role.BOTH if seen else Role.MAIN,
        bundle_id=corpus.bundle,
        height=corpus.height,
        width=corpus.width,
        side_height=corpus.height if seen else 0,
        side_width=corpus.width if seen else 0,
        side_codec=codec if seen else None,
        camera="link",
        stream_id=secrets.token_bytes(16),
        deadline_ms=deadline_ms,
    )


def send(options: argparse.Namespace) -> dict[str, Any]:
    """Run the vehicle; return its log."""
    corpus = load(options.corpus)
    link = profile(options.profile, options.seed, options.trace)
    sizes = [
        [corpus.wire_bytes(frame, quality) for quality in range(HIGHEST_QUALITY + 1)]
        for frame in range(len(corpus.packets))
    ]
    aim = Aim(
        round(options.seconds * options.fps), round(NS_PER_S / options.fps), options.deadline_ms * 500_000
    )
    policy = open_policy(options.policy, link, sizes, aim)
    control = policy if isinstance(policy, RateController) else None
    stats = Observed()
    line = Line(
        options.cloud, hello_for(corpus, options.side, options.deadline_ms), stats, control, options.seconds
    )
    print("ready", flush=True)
    epoch_ns = int(sys.stdin.readline())
    line.open()
    drive(line, corpus, policy, stats, aim, epoch_ns)
    time.sleep(2 * options.deadline_ms / 1000)
    connections = line.finish(FINISH_S)
    rows = [
        [row.seq, row.quality, row.divisor, row.size, _rounded(row.sent_ms), _rounded(row.acked_ms), row.fate]
        for row in map(_judged, stats.rows)
    ]
    return {"rows": rows, "connections": connections, "notices": line.notices}


def _judged(row: Row) -> Row:
    """Tell a frame that waited in the queue until it was too late from one that was sent and never answered."""
    if row.fate == "unsettled" and row.sent_ms is None:
        row.fate = "late_before_sending"
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def main(argv: list[str] | None = None) -> int:
    """Send as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link.sender", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cloud", required=True, metavar="HOST:PORT")
    parser.add_argument("--profile", required=True)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--side", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--fps", type=float, required=True)
    parser.add_argument("--deadline-ms", type=int, required=True)
    print(json.dumps(send(parser.parse_args(argv))), flush=True)
    return 0


if __name__ == "__main__":
    run_main(main)
