"""Keep a stream connected: open, watch, and open again after a cut, until all is done or given up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from common.errors import CloudUnreachable, MdicError, PeerRejected, StreamError
from common.stream.backoff import Backoff
from common.stream.messages import Hello, Mode
from common.stream.sender import Sender
from edge.credentials import Credentials
from edge.outgoing import Source
from edge.report import StreamStats
from edge.uplink import Listener, Uplink

_TICK_S = 0.1
_LAST_ACKS_S = 2.0


@dataclass(frozen=True)
class Call:
    """One connection to be made.

    Attributes:
        hello: what to say first.
        oldest: durable: number of the first frame the edge still holds.
    """

    hello: Hello
    oldest: int = 0


class Dialer(Protocol):
    """Say what the next connection is for, and take part in its life."""

    @property
    def source(self) -> Source:
        """Where frames come from."""

    def dial(self, over: Callable[[], bool]) -> Call | None:
        """Return the next connection to make, waiting until there is use for one; None when there never will be."""

    def tick(self) -> None:
        """Do what is to be done now and then while connected."""

    def hung_up(self, failure: MdicError | None) -> None:
        """Take note that a connection or an attempt is over; None when it ended as it should."""


class Courier:
    """Run one stream's connections, one after the other, in a thread of its own.

    After a lost connection it waits and tries again, twice as long each time; after a refusal, which only a person can
    lift, slowly. What went wrong last is `trouble`; only giving up makes it the stream's `failure`.
    """

    def __init__(
        self,
        address: str,
        dialer: Dialer,
        sender: Sender,
        change: threading.Condition,
        stats: StreamStats,
        *,
        comes_back: bool,
        patience_s: float,
        listener: Listener | None = None,
        credentials: Credentials | None = None,
        notice: Callable[[str], None] = lambda line: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; `connect` or `start` begins.

        Args:
            address: HOST:PORT of the cloud.
            dialer: says what for.
            sender: the session machine.
            change: guards it.
            stats: counts.
            comes_back: whether a lost connection is opened anew.
            patience_s: live: longest outage.
            listener: wants to know how the connection is doing.
            credentials: files that say who we are.
            notice: takes a line for a person at the beginning and end of trouble.
            chance: gives 0 to 1, to scatter waits.
        """
        self.address, self._dialer, self._sender, self._change = address, dialer, sender, change
        self._stats, self._comes_back, self._patience_s = stats, comes_back, patience_s
        self._listener, self._credentials = listener, credentials
        self._notice, self._chance = notice, chance
        self._backoff = Backoff()
        self._uplink: Uplink | None = None
        self._over = threading.Event()
        self._done = threading.Event()
        self._outage_ns: int | None = None
        self._settled = 0
        self._unkept_ns = 0
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self.session: str | None = None
        """The cloud's name for the session, once it gave one."""
        self.trouble: MdicError | None = None
        """What keeps the stream from going on at present."""
        self.failure: MdicError | None = None
        """What ended it before its time."""
        self.defect: Exception | None = None
        """An exception that is none of ours to expect."""
        self.progress_ns = stats.clock()
        """When the cloud last settled something."""

    def connect(self) -> None:
        """Make the first connection now.

        Raises:
            MdicError: it cannot be made.
        """
        call = self._dialer.dial(self._over.is_set)
        if call is not None:
            self._uplink = self._open(call)

    def start(self) -> None:
        """Go on in a thread of its own."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the stream has ended, well or not."""
        return self._done.is_set()

    @property
    def progress_s(self) -> float:
        """Return the time since the cloud last settled something (heartbeats and welcomes are no progress)."""
        return (self._stats.clock() - self.progress_ns) / 1e9

    def lag_ms(self) -> float:
        """Return the age of the oldest frame sent and not acknowledged; 0 without one."""
        with self._change:
            oldest = self._sender.oldest_sent_ns
        return 0.0 if oldest is None else (self._stats.clock() - oldest) / 1e6

    def wait_done(self, timeout_s: float) -> bool:
        """Wait until the stream has ended; return whether it has."""
        return self._done.wait(timeout_s)

    def restart_patience(self) -> None:
        """Count the time without progress from now on."""
        self.progress_ns = self._stats.clock()

    def give_up(self, why: MdicError) -> None:
        """End the stream now, for what troubles it, or else for this reason."""
        with self._change:
            if self.failure is None:
                self.failure = self.trouble or why
        self._over.set()
        uplink = self._uplink
        if uplink is not None:
            uplink.give_up(why)
        with self._change:
            self._change.notify_all()
        self._done.wait(2.0)

    def close(self) -> None:
        """Free the connection; may be called more than once."""
        self._over.set()
        uplink = self._uplink
        if uplink is not None:
            uplink.close()
        with self._change:
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(5.0)

    # --- in its thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._over.is_set() and self._attend():
                pass
        except MdicError as error:
            self.failure = self.failure or error
        except Exception as error:
            self.defect = error
        finally:
            self._done.set()
            with self._change:
                self._change.notify_all()

    def _attend(self) -> bool:
        """Serve one connection from its beginning to its end; return whether there is to be another."""
        uplink = self._uplink
        if uplink is None:
            call = self._dialer.dial(self._over.is_set)
            if call is None or self._over.is_set():
                return False
            try:
                uplink = self._uplink = self._open(call)
            except MdicError as error:
                return self._again(error)
        self._watch(uplink)
        uplink.close()
        self._hang_up(uplink.failure)
        if uplink.failure is not None:
            self._stats.connections.add("lost")
            return self._again(uplink.failure)
        return self._sender.mode is Mode.DURABLE

    def _open(self, call: Call) -> Uplink:
        uplink = Uplink(
            self.address,
            call.hello,
            self._dialer.source,
            self._sender,
            self._change,
            self._stats,
            oldest=call.oldest,
            listener=self._listener,
            credentials=self._credentials,
        )
        try:
            self.session = uplink.connect().session
        except MdicError as error:
            uplink.close()
            self._hang_up(error)
            raise
        self._stats.connections.add("opened")
        if self._sender.mode is Mode.LIVE:
            self._recovered()
            self.progress_ns = self._stats.clock()
        return uplink

    def _hang_up(self, failure: MdicError | None) -> None:
        with self._change:
            self._sender.disconnected()
        self._uplink = None
        if self._listener is not None:
            self._listener.on_reset(self._stats.clock())
        self._dialer.hung_up(failure)

    def _watch(self, uplink: Uplink) -> None:
        """Wait for the end of a connection, and see to it where it does not come by itself."""
        self._unkept_ns = 0
        while not uplink.wait_done(_TICK_S):
            self._dialer.tick()
            self._note_progress(uplink)
            if uplink.lost:
                uplink.give_up(CloudUnreachable(self.address, "it leaves our heartbeats unanswered"))
            elif self._sender.wants_reconnect and self._waited_enough():
                uplink.give_up(StreamError(f"the cloud cannot keep frames at present: {uplink.unkept}"))
        self._note_progress(uplink)

    def _waited_enough(self) -> bool:
        """Tell whether a connection on which nothing more may be sent has had its time to tell of other frames."""
        now_ns = self._stats.clock()
        self._unkept_ns = self._unkept_ns or now_ns
        return not self._sender.in_flight or now_ns - self._unkept_ns > _LAST_ACKS_S * 1e9

    def _note_progress(self, uplink: Uplink) -> None:
        self._stats.clock_sample = uplink.clock or self._stats.clock_sample
        settled = self._stats.acked
        if settled > self._settled:
            self._settled, self.progress_ns = settled, self._stats.clock()
            self._backoff.reset()
            self._recovered()

    def _recovered(self) -> None:
        if self.trouble is not None:
            self._notice(f"{self.address} takes frames again")
        self.trouble, self._outage_ns = None, None

    def _again(self, error: MdicError) -> bool:
        """Decide after a failure; wait if there is to be another attempt."""
        if self._over.is_set():
            return False
        durable = self._sender.mode is Mode.DURABLE
        if not self._comes_back or not (durable or isinstance(error, CloudUnreachable)):
            self.failure = error
            return False
        if isinstance(error, PeerRejected):
            self._stats.connections.add("refused")
        if str(error) != str(self.trouble):
            self._notice(f"{error}; trying again")
        now_ns = self._stats.clock()
        if self._outage_ns is None:
            self._outage_ns = now_ns
        # A live stream tells what cut it; a durable one, what keeps it from resuming.
        self.trouble = error if durable or self.trouble is None else self.trouble
        if not durable and now_ns - self._outage_ns > self._patience_s * 1e9:
            self.failure = self.trouble
            return False
        quick = isinstance(error, CloudUnreachable) or not isinstance(error, PeerRejected)
        wait_s = (self._backoff.next_s if quick else self._backoff.slow_s)(self._chance())
        self._over.wait(wait_s)
        return not self._over.is_set()
