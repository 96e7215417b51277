"""Both halves of the session machine against each other, with everything between them going wrong.

Between a `Sender` with a spool and a `Receiver` with a sink stand connections that lose what is under way when
they are cut, deliver it late, repeat, reorder and swallow answers; either process may die at any moment and come back
with what it had written down. Whatever happens: the sink has each frame at most once, the spool lets nothing go that
the sink does not have, and once the faults end, so does the stream, with every frame captured in the sink.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from common.errors import ProtocolViolation
from common.stream.intervals import Intervals
from common.stream.messages import Ack, Goodbye, Hello, Hint, Mode, Role, Status, Welcome
from common.stream.receiver import Receiver, Reception, Verdict
from common.stream.sender import Sender, SenderState

END = -1
WINDOW = 5


@dataclass(eq=False)
class Connection:
    """What is under way: numbers up (END for the end), answers down."""

    reception: Reception
    up: deque[int] = field(default_factory=deque)
    down: list[object] = field(default_factory=list)
    alive: bool = True
    unsettled: set[int] = field(default_factory=set)

    def answer(self, message: object) -> None:
        if self.alive:
            self.down.append(message)


class Cloud:
    """A receiver, and a sink that survives it."""

    def __init__(self, base: int, max_runs: int) -> None:
        self.base, self.max_runs = base, max_runs
        self.sink: list[int] = []
        self.start()

    def start(self) -> None:
        """Begin with nothing but the sink."""
        held = Intervals()
        for seq in self.sink:
            held.add(seq)
        base = max([self.base, *(seq + 1 for seq in self.sink)])
        self.receiver: Receiver[Connection] = Receiver(held, base, self.max_runs)
        self.working: dict[int, Connection] = {}

    def greet(self, connection: Connection, oldest: int) -> None:
        hello = Hello("car", Role.MAIN, bytes(8), 64, 64, mode=Mode.DURABLE, oldest_seq=oldest)
        connection.reception.take_hello(hello)
        standing = self.receiver.welcome(oldest)
        connection.answer(Welcome("s", WINDOW, 2, standing.next_seq, standing.held, standing.base_seq))

    def take(self, connection: Connection, seq: int) -> None:
        if seq == END:
            connection.reception.take_end()
            self._goodbye(connection)
            return
        connection.reception.take_main(seq)
        verdict, _ = self.receiver.receive(seq, connection)
        if verdict in (Verdict.NEW, Verdict.PENDING):
            before = self.working.get(seq)
            if before is not None:
                before.unsettled.discard(seq)
            self.working[seq] = connection
            connection.unsettled.add(seq)
        else:
            self._ack(connection, seq, Status.DECODED if verdict is Verdict.HELD else Status.UNKEPT)

    def finish(self, seq: int, status: Status) -> None:
        """End the work on a frame: in the sink for good, not kept, or useless for ever."""
        connection = self.working.pop(seq)
        if status is Status.DECODED:
            self.sink.append(seq)
            self.receiver.kept(seq)
        else:
            self.receiver.let_go(seq)
        connection.unsettled.discard(seq)
        self._ack(connection, seq, status)
        self._goodbye(connection)

    def _ack(self, connection: Connection, seq: int, status: Status) -> None:
        connection.answer(Ack(seq, status, cumulative=self.receiver.cumulative))

    @staticmethod
    def _goodbye(connection: Connection) -> None:
        if connection.reception.state.value == "draining" and not connection.unsettled:
            connection.reception.close()
            connection.answer(Goodbye())


class Stream(RuleBasedStateMachine):
    """An edge with a spool, a cloud with a sink, and the faults between."""

    @initialize(base=st.sampled_from([0, 7]), max_runs=st.sampled_from([3, 4096]))
    def begin(self, base: int, max_runs: int) -> None:
        self.cloud = Cloud(base, max_runs)
        self.captured = 0
        self.spool: list[int] = []
        self.failed: set[int] = set()
        self.kept_base: int | None = None
        self.unwritten: set[int] = set()
        self.useless: set[int] = set()
        self.line: Connection | None = None
        self.late: list[tuple[Connection, int]] = []
        self.start_edge()

    def start_edge(self) -> None:
        self.unwritten.clear()
        self.sender = Sender(Mode.DURABLE, base=self.kept_base, free=self.captured)
        self.cursor = -1

    # --- the edge -------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 6))
    def capture(self, count: int) -> None:
        self.spool += range(self.captured, self.captured + count)
        self.captured += count

    @precondition(lambda self: self.line is None)
    @rule(anew=st.booleans())
    def connect(self, anew: bool = True) -> None:
        if anew:  # else what was offered before the cut is still there
            self.sender.withdraw()
            self.cursor = -1
        self.sender.greet()
        self.line = Connection(Reception())
        self.cloud.greet(self.line, self.sender.wire(self.oldest))

    @property
    def oldest(self) -> int:
        return self.spool[0] if self.spool else self.captured

    @rule(count=st.integers(1, 8))
    def send(self, count: int) -> None:
        for number in self.spool:
            if number > self.cursor and number not in self.unwritten and self.sender.room:
                self.sender.offer(number)
                self.cursor = number
        for _ in range(count):
            number = self.sender.next()
            if number is None:
                return
            self.sender.sent(number, 0)
            self.line.up.append(self.sender.wire(number))

    @precondition(lambda self: self.sender.state is SenderState.OPEN and not self.sender.ready)
    @rule()
    def end(self) -> None:
        if all(number <= self.cursor or number in self.unwritten for number in self.spool):
            self.sender.end()
            if self.sender.may_end:
                self.sender.ended()
                self.line.up.append(END)

    @rule()
    def write_down(self) -> None:
        self.spool = [number for number in self.spool if number not in self.unwritten]
        self.unwritten.clear()

    def hear(self, message: object) -> None:
        """Let the edge act on an answer, as its driver does."""
        if isinstance(message, Welcome):
            settled = self.sender.connected(message, self.oldest)
            self.kept_base = self.sender.base
        elif isinstance(message, Ack):
            settled = self.sender.acked(message)
        elif isinstance(message, Hint):
            self.sender.hinted(message)
            return
        else:
            self.sender.goodbye()
            self.sender.disconnected()
            self.line = None
            return
        gone = {*settled.kept, *(n for n in self.spool if n < settled.below)}
        gone |= {n for n in self.spool if any(a <= n <= b for a, b in settled.ranges)}
        for number in gone:
            assert self.sender.wire(number) in self.cloud.sink, f"frame {number} is let go, and nobody has it"
        assert set(settled.failed) <= self.failed
        self.unwritten |= gone | set(settled.failed)

    # --- the network ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.line is not None and self.line.up)
    @rule(count=st.integers(1, WINDOW))
    def deliver_up(self, count: int = 1) -> None:
        for _ in range(min(count, len(self.line.up))):
            self.cloud.take(self.line, self.line.up.popleft())

    @rule(anew=st.booleans(), count=st.integers(1, 6))
    def all_goes_well(self, anew: bool, count: int) -> None:
        """Get as far as `count` frames delivered on a connection: alone, the small steps rarely meet."""
        if self.line is None:
            self.connect(anew)
        if self.sender.state is SenderState.GREETING:
            self.hear(self.line.down.pop(0))
        self.capture(count)
        self.send(count)
        if self.line.up:
            self.deliver_up(count)

    @precondition(lambda self: self.line is not None and self.line.down)
    @rule(data=st.data(), again=st.booleans())
    def deliver_down(self, data: st.DataObject, again: bool) -> None:
        down = self.line.down
        # The welcome comes first and the goodbye last: the order of these two is gRPC's own. Acks may overtake.
        acks = [i for i, m in enumerate(down) if isinstance(m, Ack)]
        first = isinstance(down[0], Welcome) or not acks
        at = 0 if first else data.draw(st.sampled_from(acks))
        message = down[at] if again and isinstance(down[at], Ack) else down.pop(at)
        self.hear(message)

    @precondition(lambda self: self.sender.state is SenderState.OPEN)
    @rule(window=st.integers(1, 9))
    def hint(self, window: int) -> None:
        self.hear(Hint(0.0, 0, window))

    @rule()
    def cut(self) -> None:
        if self.line is None:
            return
        self.line.alive = False
        self.late += [(self.line, seq) for seq in self.line.up if seq != END]
        self.line = None
        self.sender.disconnected()

    @precondition(lambda self: self.late)
    @rule(take=st.booleans())
    def deliver_late(self, take: bool) -> None:
        connection, seq = self.late.pop(0)
        if take and connection.reception.state.value == "open":
            self.cloud.take(connection, seq)

    # --- the cloud ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.cloud.working)
    @rule(
        data=st.data(), status=st.sampled_from([Status.DECODED, Status.DECODED, Status.UNKEPT, Status.FAILED])
    )
    def finish(self, data: st.DataObject, status: Status) -> None:
        seq = data.draw(st.sampled_from(sorted(self.cloud.working)))
        number = seq - self.sender.wire(0)
        if number in self.failed:
            status = Status.FAILED  # what cannot be decoded once never can
        elif status is Status.FAILED:
            self.failed.add(number)
        self.cloud.finish(seq, status)

    # --- the ends of processes ------------------------------------------------------------------------------

    @rule()
    def edge_dies(self) -> None:
        self.cut()
        self.start_edge()

    @rule()
    def cloud_dies(self) -> None:
        self.cut()
        self.late.clear()
        self.cloud.start()

    @rule()
    def somebody_else_records(self) -> None:
        """Another spool of the vehicle has used numbers in a recording that has none of ours yet."""
        if not self.cloud.sink and self.kept_base is None and self.line is None:
            self.cloud.base += 3
            self.cloud.start()

    # --- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def exactly_once(self) -> None:
        sink = self.cloud.sink
        assert len(sink) == len(set(sink)), "a frame is in the sink twice"
        assert all(self.cloud.base <= seq < self.sender.wire(self.captured) for seq in sink)

    @invariant()
    def nothing_lost(self) -> None:
        held = {seq - self.sender.wire(0) for seq in self.cloud.sink}
        assert set(range(self.captured)) <= held | set(self.spool) | self.failed

    def teardown(self) -> None:
        """Stop the faults: the stream comes to its end."""
        if not hasattr(self, "cloud"):
            return
        self.late.clear()
        for _ in range(6 + self.captured):
            self.cut()
            for seq in sorted(self.cloud.working):  # while the edge waits before it tries again
                self._work(seq)
            self.connect(anew=False)  # nothing is offered twice: the machine itself must not forget
            while self.line is not None and self._advance():
                pass
            self.write_down()
            if not self.spool:
                break
        assert not self.spool, f"{len(self.spool)} frames wait for ever"
        assert self.sender.state is SenderState.CLOSED
        held = {seq - self.sender.wire(0) for seq in self.cloud.sink}
        assert held | self.failed == set(range(self.captured))
        self.exactly_once()

    def _advance(self) -> bool:
        """Do one thing that is due; return False when nothing is."""
        self.send(WINDOW)
        if self.line.down:
            self.hear(self.line.down.pop(0))
        elif self.line.up:
            self.deliver_up()
        elif self.cloud.working:
            self._work(min(self.cloud.working))
        elif self.sender.state is SenderState.OPEN and not self.sender.ready:
            self.end()
        else:
            return False  # perhaps the machine wants another connection: that comes next
        return True

    def _work(self, seq: int) -> None:
        failed = seq - self.sender.wire(0) in self.failed
        self.cloud.finish(seq, Status.FAILED if failed else Status.DECODED)


TestStream = Stream.TestCase
TestStream.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_violation_is_noticed() -> None:
    """The model can fail: a cloud that acknowledges what it does not have is caught."""
    stream = Stream()
    stream.begin(0, 4096)
    stream.capture(2)
    stream.connect()
    stream.hear(stream.line.down.pop(0))
    stream.send(2)
    try:
        stream.hear(Ack(0, Status.DECODED))
    except AssertionError as error:
        assert "nobody has it" in str(error)
    else:
        raise AssertionError("not noticed")
    try:
        stream.hear(Ack(9, Status.DECODED))
    except ProtocolViolation:
        return
    raise AssertionError("not refused")
