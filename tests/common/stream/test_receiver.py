"""The receiver's half: numbers over any number of connections, and one connection's life."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from common.errors import ProtocolViolation
from common.stream.convert import downlink_from_pb, downlink_to_pb
from common.stream.intervals import Intervals
from common.stream.messages import Hello, Mode, Ping, Role, Welcome
from common.stream.receiver import MAX_SEQ, Receiver, Reception, Standing, State, Verdict

MS = 1_000_000
HELLO = Hello("car", Role.MAIN)


def holding(*numbers: int) -> Intervals:
    made = Intervals()
    for number in numbers:
        made.add(number)
    return made


# --- numbers ------------------------------------------------------------------------------------------------


def test_a_new_stream_is_told_where_it_may_begin() -> None:
    assert Receiver[str](base_seq=40).welcome() == Standing(0, (), 40)


def test_a_known_stream_is_told_what_is_held() -> None:
    receiver = Receiver[str](holding(0, 1, 2, 5, 8, 9), base_seq=40)
    assert receiver.welcome() == Standing(3, ((5, 5), (8, 9)), 0)
    assert receiver.cumulative == 3


@pytest.mark.parametrize(
    ("oldest", "next_seq", "held"),
    [
        (0, 3, ((5, 5), (8, 9))),
        (4, 4, ((5, 5), (8, 9))),
        (5, 6, ((8, 9),)),
        (9, 10, ()),
        (400, 10, ()),  # nobody claims to hold what was never sent
    ],
)
def test_what_the_sender_has_no_more_is_not_missing(oldest: int, next_seq: int, held: tuple) -> None:
    receiver = Receiver[str](holding(0, 1, 2, 5, 8, 9))
    assert receiver.welcome(oldest) == Standing(next_seq, held, 0)
    assert receiver.welcome(0) == Standing(next_seq, held, 0)  # forgotten stays forgotten


def test_new_pending_held_and_new_again() -> None:
    receiver = Receiver[str]()
    assert receiver.receive(0, "first") == (Verdict.NEW, None)
    assert receiver.receive(0, "second") == (Verdict.PENDING, "first")
    assert receiver.pending == 1 and receiver.welcome() == Standing(0, (), 0)
    assert receiver.let_go(0) == "first" and receiver.let_go(0) is None
    assert receiver.receive(0, "second") == (Verdict.NEW, None)
    assert receiver.kept(0) == "second"
    assert receiver.receive(0, "third") == (Verdict.HELD, None) and receiver.cumulative == 1


def test_gaps_are_bounded_and_filling_them_is_always_possible() -> None:
    receiver = Receiver[str](max_runs=4)
    for seq in (0, 2, 4, 6):
        assert receiver.receive(seq, "")[0] is Verdict.NEW
        receiver.kept(seq)
    assert receiver.receive(8, "")[0] is Verdict.REFUSED and receiver.pending == 0
    for seq in (7, 1, 3, 5):
        assert receiver.receive(seq, "")[0] is Verdict.NEW
        receiver.kept(seq)
    assert receiver.receive(8, "")[0] is Verdict.NEW and receiver.cumulative == 8


def test_a_welcome_lists_at_most_what_a_message_may_hold() -> None:
    receiver = Receiver[str](holding(*range(0, 2000, 2)))
    at = receiver.welcome()
    assert len(at.held) == 256 and at.held[0] == (2, 2) and at.next_seq == 1


@given(st.sets(st.integers(0, 40)), st.integers(0, 45))
def test_every_standing_is_a_welcome_that_the_wire_allows(numbers: set[int], oldest: int) -> None:
    at = Receiver[str](holding(*numbers)).welcome(oldest)
    welcome = Welcome("s", 1, next_seq=at.next_seq, held=at.held, base_seq=at.base_seq)
    assert downlink_from_pb(downlink_to_pb(welcome)) == welcome
    listed = {n for first, last in at.held for n in range(first, last + 1)}
    assert listed == {n for n in numbers if n >= at.next_seq}
    assert {n for n in range(oldest, at.next_seq)} <= numbers


class Streams(RuleBasedStateMachine):
    """A sender that loses, repeats, reorders and cuts, and a sink that fails: what is held stays right."""

    def __init__(self) -> None:
        super().__init__()
        self.sink: set[int] = set()
        self.gone = 0
        self.begin()

    def begin(self) -> None:
        """Start a server, which knows nothing but the sink."""
        self.receiver = Receiver[int](holding(*self.sink))
        self.receiver.welcome(self.gone)
        self.working: dict[int, int] = {}
        self.connection = 0

    @rule(seq=st.integers(0, 30))
    def arrive(self, seq: int) -> None:
        verdict, owner = self.receiver.receive(seq, self.connection)
        if seq in self.sink:
            assert verdict is Verdict.HELD
        elif seq in self.working:
            assert (verdict, owner) == (Verdict.PENDING, self.working[seq])
        else:
            assert verdict is Verdict.NEW
            self.working[seq] = self.connection

    @precondition(lambda self: self.working)
    @rule(data=st.data(), good=st.booleans())
    def settle(self, data: st.DataObject, good: bool) -> None:
        seq = data.draw(st.sampled_from(sorted(self.working)))
        owner = self.receiver.kept(seq) if good else self.receiver.let_go(seq)
        assert owner == self.working.pop(seq)
        if good:
            self.sink.add(seq)

    @rule(forgets=st.integers(0, 3))
    def reconnect(self, forgets: int) -> None:
        """The sender lets go of what is held below, at most."""
        while forgets and self.gone in self.sink:
            self.gone, forgets = self.gone + 1, forgets - 1
        self.connection += 1
        at = self.receiver.welcome(self.gone)
        assert {n for a, b in at.held for n in range(a, b + 1)} == {n for n in self.sink if n >= at.next_seq}

    @rule()
    def restart(self) -> None:
        self.begin()

    @invariant()
    def nothing_is_promised_that_is_not_there(self) -> None:
        assert set(range(self.receiver.cumulative)) <= self.sink
        assert self.receiver.pending == len(self.working)


Streams.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStreams = Streams.TestCase


# --- one connection -----------------------------------------------------------------------------------------


def opened(hello: Hello = HELLO) -> Reception:
    made = Reception()
    made.take_hello(hello)
    return made


def test_a_connection_from_hello_to_its_end() -> None:
    made = Reception()
    states = [made.state]
    made.take_hello(HELLO)
    states.append(made.state)
    made.take_main(0)
    made.take_end()
    states.append(made.state)
    made.take_ping(Ping(1))
    made.close()
    assert [*states, made.state] == list(State)


@pytest.mark.parametrize("view", ["main", "side"])
def test_what_has_no_place_is_refused_in_every_state(view: str) -> None:
    for prepare in (lambda r: None, lambda r: (r.take_hello(HELLO), r.take_end()), lambda r: r.close()):
        made = Reception()
        prepare(made)
        for call in (lambda r=made: getattr(r, f"take_{view}")(0), made.take_end):
            with pytest.raises(ProtocolViolation, match="in state"):
                call()
    with pytest.raises(ProtocolViolation, match="second hello"):
        opened().take_hello(HELLO)


@pytest.mark.parametrize("view", ["main", "side"])
def test_numbers_rise_and_stay_countable(view: str) -> None:
    made = opened()
    take = getattr(made, f"take_{view}")
    take(3)
    for bad in (3, 2, MAX_SEQ + 1, 2**64 - 1):
        with pytest.raises(ProtocolViolation, match=f"{view} frame {bad}"):
            take(bad)
    take(MAX_SEQ)


@pytest.mark.parametrize(
    "hello",
    [
        Hello("car", Role.MAIN, mode=Mode.DURABLE, deadline_ms=5),
        Hello("car", Role.MAIN, mode=Mode.DURABLE, oldest_seq=MAX_SEQ + 1),
    ],
)
def test_a_hello_that_contradicts_itself(hello: Hello) -> None:
    with pytest.raises(ProtocolViolation):
        opened(hello)


def test_deadlines_need_an_estimate_of_the_clocks() -> None:
    made = opened()
    assert made.due_ns(5, 10 * MS) is None
    made.take_ping(Ping(1))
    assert made.due_ns(5, 10 * MS) is None
    made.take_ping(Ping(1, offset_ns=3 * MS, rtt_ns=1))
    assert made.due_ns(5, 10 * MS) == 8 * MS and made.due_ns(0, 10 * MS) is None


@given(
    st.integers(0, 2**62),
    st.integers(-(2**61), 2**61),
    st.integers(-(2**30), 2**30),
)
def test_a_deadline_survives_the_modulus(now_ns: int, offset_ns: int, ahead_ms: int) -> None:
    made = opened()
    made.take_ping(Ping(1, offset_ns=offset_ns, rtt_ns=1))
    due = (now_ns - offset_ns) // MS + ahead_ms
    told = made.due_ns(due % 2**32, now_ns)
    assert told == (due * MS + offset_ns if due % 2**32 else None)
