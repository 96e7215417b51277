"""The sending half of the session machine: what to send next, and what an answer settles (proto/TRANSPORT.md).

Sans-I/O: no thread, no socket, no clock. The driver says what happened (`connected`, `sent`, `acked`, ...) and asks
what to do (`next`, `may_end`, `wants_reconnect`). One machine lives through any number of connections.

    IDLE ──greet──▶ GREETING ──connected──▶ OPEN ──ended──▶ DRAINING ──goodbye──▶ CLOSED
     ▲                  │                     │                 │                   │
     └──────────────────┴────disconnected─────┴─────────────────┘      greet ◀──────┘

Frames are numbered by their owner from 0 (its spool, or its camera). On the wire `base` is added.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from enum import Enum

from common.errors import ProtocolViolation
from common.stream.limits import WIRE_VERSION
from common.stream.messages import Ack, Hint, Mode, Status, Welcome

READY_FRAMES = 64


class SenderState(Enum):
    """Name where a sender is in the life of its present connection."""

    IDLE = "idle"
    GREETING = "greeting"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


@dataclass(frozen=True)
class Settled:
    """What an answer settles, in the owner's numbers.

    Attributes:
        kept: frames the sink has, of those this machine held.
        failed: frames the cloud could not decode and never will.
        dropped: live: frames the cloud gave up.
        below: durable: the sink has every frame below, whether this machine held it or not.
        ranges: durable: (first, last) of what it has above.
    """

    kept: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    below: int = 0
    ranges: tuple[tuple[int, int], ...] = ()


class Sender:
    """Follow the main frames of one numbering from their offer to their ack.

    A frame is *ready* (offered, to be sent), then *in flight* (sent, no ack), then gone. After a cut a durable
    frame in flight is ready again; a live one is lost. Not thread-safe.
    """

    def __init__(self, mode: Mode, *, wait: bool = True, base: int | None = None, free: int = 0) -> None:
        """Start idle.

        Args:
            mode: live or durable.
            wait: keep to the cloud's window. A durable sender always does.
            base: what to add to a number on the wire; None when the cloud has yet to say (durable), 0 in live mode.
            free: first number that no earlier process has used: anything below may have been sent by one.
        """
        self.mode, self.wait = mode, wait or mode is Mode.DURABLE
        self.base = 0 if mode is Mode.LIVE else base
        self.state = SenderState.IDLE
        self.window = 0
        self.wants_reconnect = False
        """Durable: a frame could not be kept. Numbers only rise in a connection, so it needs another one."""
        self._ending = False
        self._ready: list[int] = []
        self._in_flight: dict[int, int] = {}  # number -> time sent
        self._offered = -1
        self._sent_below = free

    # --- the connection -------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Begin a connection: the hello goes out."""
        self._expect(SenderState.IDLE, SenderState.CLOSED)
        self.state = SenderState.GREETING

    def connected(self, welcome: Welcome, oldest: int = 0) -> Settled:
        """Take the welcome; return what it says the cloud has already.

        Args:
            welcome: as it came.
            oldest: durable: the number of the first frame that the owner still holds.

        Raises:
            ProtocolViolation: a second welcome, another wire version, or frames that were never sent.
        """
        if self.state is not SenderState.GREETING:
            raise ProtocolViolation("a second welcome")
        if welcome.wire_version != WIRE_VERSION:
            raise ProtocolViolation(
                f"the cloud speaks wire version {welcome.wire_version}, we {WIRE_VERSION}"
            )
        settled = self._resume(welcome, oldest) if self.mode is Mode.DURABLE else Settled()
        self.window = welcome.max_in_flight
        self.wants_reconnect = self._ending = False
        self.state = SenderState.OPEN
        return settled

    def _resume(self, welcome: Welcome, oldest: int) -> Settled:
        if not welcome.next_seq and not welcome.held:
            # The cloud has nothing of ours. Moving up is safe then, and what it does have stays untouched.
            self.base = max(self.base or 0, welcome.base_seq - oldest)
            return Settled()
        if self.base is None:
            raise ProtocolViolation("the cloud holds frames of a numbering that was never used")
        below = max(0, welcome.next_seq - self.base)
        ranges = tuple(
            (max(0, first - self.base), last - self.base) for first, last in welcome.held if last >= self.base
        )
        highest = max([below - 1, *(last for _, last in ranges)])
        if highest >= self._sent_below:
            raise ProtocolViolation(f"the cloud holds frame {highest + self.base}, which was never sent")
        known = [n for n in self._ready if n < below or any(a <= n <= b for a, b in ranges)]
        self._drop(known)
        return Settled(kept=tuple(known), below=below, ranges=ranges)

    def end(self) -> None:
        """Say that no further frame will be offered on this connection."""
        self._ending = True

    @property
    def may_end(self) -> bool:
        """Whether everything is sent, so that the end message may go."""
        return (
            self.state is SenderState.OPEN and self._ending and not self._ready and not self.wants_reconnect
        )

    def ended(self) -> None:
        """Note that the end message went out."""
        self._expect(SenderState.OPEN)
        self.state = SenderState.DRAINING

    def goodbye(self) -> None:
        """Take the cloud's last message.

        Raises:
            ProtocolViolation: it comes before our end, or before every ack.
        """
        if self.state is not SenderState.DRAINING:
            raise ProtocolViolation("goodbye before the end")
        if self._in_flight:
            raise ProtocolViolation(f"goodbye with {len(self._in_flight)} frames unsettled")
        self.state = SenderState.CLOSED

    def disconnected(self) -> tuple[int, ...]:
        """Note the end of the connection, whatever ended it; return the live frames that are lost with it."""
        if self.state is not SenderState.CLOSED:
            self.state = SenderState.IDLE
        self._ending = False
        left = tuple(self._in_flight)
        self._in_flight.clear()
        if self.mode is Mode.LIVE:
            return left
        self._ready = sorted({*self._ready, *left})
        return ()

    # --- frames ---------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more frames may be offered: numbers are held here, and their count is bounded."""
        return max(0, READY_FRAMES - len(self._ready))

    @property
    def credit(self) -> bool:
        """Whether a frame may be sent now, if there were one."""
        return (
            self.state is SenderState.OPEN
            and not self.wants_reconnect
            and (not self.wait or len(self._in_flight) < self.window)
        )

    @property
    def ready(self) -> int:
        """How many frames are offered and not sent."""
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        """How many frames are sent and not settled."""
        return len(self._in_flight)

    @property
    def window_full(self) -> bool:
        """Whether the cloud's window is used up."""
        return self.window > 0 and len(self._in_flight) >= self.window

    @property
    def oldest_sent_ns(self) -> int | None:
        """When the frame sent first of those in flight was; None without one."""
        return next(iter(self._in_flight.values()), None)

    def wire(self, number: int) -> int:
        """Return what the owner's number is on the wire."""
        return number + (self.base or 0)

    def offer(self, number: int) -> None:
        """Take a frame to be sent after those offered before; numbers rise."""
        if number <= self._offered:
            raise ValueError(f"frame {number} offered after {self._offered}")
        if not self.room:
            raise ValueError("no room for another frame")
        self._offered = number
        self._ready.append(number)

    def next(self) -> int | None:
        """Return the frame to send now; None when there is none or the window is full."""
        return self._ready[0] if self._ready and self.credit else None

    def sent(self, number: int, now_ns: int) -> None:
        """Note that the frame `next` gave goes out."""
        if self.next() != number:
            raise ValueError(f"frame {number} is not the next to send")
        del self._ready[0]
        self._in_flight[number] = now_ns
        self._sent_below = max(self._sent_below, number + 1)

    def withdraw(self, number: int | None = None) -> None:
        """Forget an offered frame that does not exist any more; None: all, to be offered anew."""
        if number is None:
            if self._in_flight:
                raise ValueError("frames are in flight")
            self._ready.clear()
            self._offered = -1
        else:
            self._drop([number])

    def hinted(self, hint: Hint) -> None:
        """Take the window of a hint."""
        self.window = hint.window

    def acked(self, ack: Ack) -> Settled:
        """Take an ack; return what it settles.

        Durable acks may tell what is known already: a frame sent twice is settled by the first of its two acks.

        Raises:
            ProtocolViolation: the frame was not sent (live: not on this connection, or is settled already).
        """
        if self.state not in (SenderState.OPEN, SenderState.DRAINING):
            raise ProtocolViolation("ack before the welcome")
        number = ack.seq - (self.base or 0)
        if self.mode is Mode.LIVE:
            return self._live_ack(number, ack.status)
        return self._durable_ack(number, ack)

    def _live_ack(self, number: int, status: Status) -> Settled:
        if self._in_flight.pop(number, None) is None:
            raise ProtocolViolation(f"ack of frame {number}, which was not sent or is settled already")
        if status is Status.DECODED:
            return Settled(kept=(number,))
        return Settled(failed=(number,)) if status is Status.FAILED else Settled(dropped=(number,))

    def _durable_ack(self, number: int, ack: Ack) -> Settled:
        below = max(0, ack.cumulative - (self.base or 0))
        if not 0 <= number < self._sent_below or below > self._sent_below:
            raise ProtocolViolation(
                f"ack of frame {ack.seq} (cumulative {ack.cumulative}), which was not sent"
            )
        held = number in self._in_flight or number in self._ready
        kept = [n for n in (*self._in_flight, *self._ready) if n < below and n != number]
        failed: tuple[int, ...] = ()
        if ack.status is Status.DECODED or (number < below and ack.status is not Status.FAILED):
            kept += [number] * held
        elif ack.status is Status.FAILED:
            failed = (number,) * held
        elif self._in_flight.pop(number, None) is not None:  # not kept: it is to be sent again
            insort(self._ready, number)
            self.wants_reconnect = True
        self._drop([*kept, *failed])
        return Settled(kept=tuple(kept), failed=failed, below=below)

    def _drop(self, numbers: list[int]) -> None:
        gone = set(numbers)
        for number in gone:
            self._in_flight.pop(number, None)
        if gone and self._ready:
            self._ready = [n for n in self._ready if n not in gone]

    def _expect(self, *states: SenderState) -> None:
        if self.state not in states:
            raise ValueError(f"not possible in state {self.state.value}")
