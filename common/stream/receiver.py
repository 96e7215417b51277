"""The receiver's half of a stream, without sockets and clocks: time comes in as an argument.

`Receiver` follows the numbering of one stream (`Hello.stream_id`) in durable mode and outlives its connections: what
the sink holds for good, what is on its way there, and what an arriving number therefore is. `Reception` follows one
connection: its state, the order of its numbers, and what it says of the two clocks. States
and transitions are those of proto/TRANSPORT.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from common.errors import ProtocolViolation
from common.stream.intervals import Intervals
from common.stream.limits import LIMITS
from common.stream.messages import Hello, Mode, Ping

Owner = TypeVar("Owner")

MAX_RUNS = 4096
"""Runs of held numbers a stream may consist of: every gap costs memory, and a peer decides how many there are."""
MAX_SEQ = 1 << 48
"""Largest number of a frame: 89,000 years at 100 Hz, and far from where a sum would leave 64 bits."""
_MOD_MS = 1 << 32


class Verdict(Enum):
    """Say what an arriving number is.

    NEW: to be decoded and kept. HELD: in the sink for good. PENDING: taken from an earlier connection and not settled
    yet. REFUSED: it would open one gap too many; the sender has to fill the others first.
    """

    NEW = "new"
    HELD = "held"
    PENDING = "pending"
    REFUSED = "refused"


@dataclass(frozen=True)
class Standing:
    """Say where a stream stands when its sender comes (back): three fields of a welcome."""

    next_seq: int = 0
    held: tuple[tuple[int, int], ...] = ()
    base_seq: int = 0


class Receiver(Generic[Owner]):
    """Follow the numbers of one stream; `Owner` is what the caller wants to find again with a number."""

    def __init__(self, held: Intervals | None = None, base_seq: int = 0, max_runs: int = MAX_RUNS) -> None:
        """Take over what the sink holds.

        Args:
            held: numbers in the sink for good; the receiver keeps this set and adds to it.
            base_seq: the first number free in the vehicle's recording; meant for a stream that is new.
            max_runs: most runs of held and pending numbers together.
        """
        self._held = Intervals() if held is None else held
        self._base_seq = base_seq
        self._max_runs = max_runs
        self._floor = 0
        self._pending: dict[int, Owner] = {}

    @property
    def cumulative(self) -> int:
        """Return the first number not held, of those that the sender still had; never beyond what was ever held."""
        return min(self._held.next_missing(self._floor), self._held.highest + 1)

    @property
    def pending(self) -> int:
        """Count the numbers taken and not settled."""
        return len(self._pending)

    def welcome(self, oldest_seq: int = 0) -> Standing:
        """Return where the stream stands; called for each connection.

        Args:
            oldest_seq: first number that the sender still has. Below it nothing can come any more, so nothing there
                counts as missing. Senders only ever forget from below: a lower number than before changes nothing.
        """
        self._floor = max(self._floor, oldest_seq)
        known = len(self._held) > 0 or bool(self._pending)
        next_seq = self.cumulative if known else 0
        held = self._held.above(next_seq, LIMITS.max_ranges)
        return Standing(next_seq, held, 0 if known else self._base_seq)

    def receive(self, seq: int, owner: Owner) -> tuple[Verdict, Owner | None]:
        """Take a number that arrived; if it is new, `owner` is remembered with it.

        Returns:
            What it is; for PENDING also its owner, whose answer has to go where the number came from last.
        """
        if seq in self._held:
            return Verdict.HELD, None
        if seq in self._pending:
            return Verdict.PENDING, self._pending[seq]
        if self._held.runs + len(self._pending) >= self._max_runs and not self._held.touches(seq):
            return Verdict.REFUSED, None
        self._pending[seq] = owner
        return Verdict.NEW, None

    def kept(self, seq: int) -> Owner | None:
        """Note that the sink holds `seq` for good; return its owner."""
        self._held.add(seq)
        return self._pending.pop(seq, None)

    def let_go(self, seq: int) -> Owner | None:
        """Note that `seq` was not kept, so that it may come again; return its owner."""
        return self._pending.pop(seq, None)


class State(Enum):
    """Where a connection stands."""

    WAIT_HELLO = "wait hello"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class Reception:
    """Follow one connection: what may come next on it, and how the two clocks relate."""

    def __init__(self) -> None:
        self.state = State.WAIT_HELLO
        self.offset_ns: int | None = None
        """The sender's estimate of (receiver's clock - sender's clock), once it has one."""
        self._last_main = self._last_side = -1

    def take_hello(self, hello: Hello) -> None:
        """Open the connection.

        Raises:
            ProtocolViolation: there was a hello before, or it asks for what does not go together.
        """
        if self.state is not State.WAIT_HELLO:
            raise ProtocolViolation("a second hello")
        if hello.mode is Mode.DURABLE and hello.deadline_ms:
            raise ProtocolViolation("a durable stream has no deadline")
        if hello.oldest_seq > MAX_SEQ:
            raise ProtocolViolation(f"oldest frame {hello.oldest_seq} is beyond {MAX_SEQ}")
        self.state = State.OPEN

    def take_main(self, seq: int) -> None:
        """Take the number of a main frame.

        Raises:
            ProtocolViolation: it has no place here, or is not higher than the one before.
        """
        self._frame("main", seq, self._last_main)
        self._last_main = seq

    def take_side(self, seq: int) -> None:
        """Take the number of a side frame.

        Raises:
            ProtocolViolation: it has no place here, or is not higher than the one before.
        """
        self._frame("side", seq, self._last_side)
        self._last_side = seq

    def take_ping(self, ping: Ping) -> None:
        """Take a heartbeat, allowed until the connection is over, and the clock estimate it brings."""
        if ping.rtt_ns:
            self.offset_ns = ping.offset_ns

    def take_end(self) -> None:
        """Take the sender's end: what came before is still to be settled.

        Raises:
            ProtocolViolation: it has no place here.
        """
        self._expect(State.OPEN, "an end")
        self.state = State.DRAINING

    def close(self) -> None:
        """Note that the connection is over, however it ended."""
        self.state = State.CLOSED

    def due_ns(self, due_ms: int, now_ns: int) -> int | None:
        """Return when a frame becomes useless, by the receiver's clock; None when it never does or nobody knows.

        Args:
            due_ms: `MainFrame.due_ms`, by the sender's clock modulo 2^32; 0 for never.
            now_ns: the receiver's monotonic clock, at most 24 days away from that moment.
        """
        if not due_ms or self.offset_ns is None:
            return None
        sender_now_ms = (now_ns - self.offset_ns) // 1_000_000
        ahead_ms = (due_ms - sender_now_ms + _MOD_MS // 2) % _MOD_MS - _MOD_MS // 2
        return (sender_now_ms + ahead_ms) * 1_000_000 + self.offset_ns

    def _frame(self, view: str, seq: int, last: int) -> None:
        self._expect(State.OPEN, f"a {view} frame")
        if seq > MAX_SEQ:
            raise ProtocolViolation(f"{view} frame {seq} is beyond {MAX_SEQ}")
        if seq <= last:
            raise ProtocolViolation(f"{view} frame {seq} after {last}")

    def _expect(self, state: State, what: str) -> None:
        if self.state is not state:
            raise ProtocolViolation(f"{what} in state {self.state.value!r}")
