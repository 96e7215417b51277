"""Follow the network and the cloud with the quality index, then with the frame rate."""

from __future__ import annotations

import threading

from edge.ratecontrol.cloudload import CloudLoad
from edge.ratecontrol.delay import DelayMeter
from edge.ratecontrol.delivery import DeliveryMeter
from edge.ratecontrol.ladder import PRIOR_BYTES, START_QUALITY, FrameSizes, Ladder
from edge.ratecontrol.rule import RateRule
from edge.ratecontrol.signals import NS_PER_MS, NS_PER_S, CloudHint, Decision, Load

_HEADROOM = 1.05
_CLEARLY = 1.1
_RAMP = 4.0
_UNKNOWN_PATH_MS = 1000.0
_TRUSTED_NS = 4 * NS_PER_S
_BLIND_BACKOFF = 0.7
_BLIND_INTERVAL_NS = 500 * NS_PER_MS


class RateController:
    """Choose quality (0 to 7, higher is better and larger) and frame rate for each captured frame.

    **Use.** `decide` once for every captured frame, in order; `on_sent` when a frame that will be acknowledged is
    handed to the connection, with all its bytes; `on_ack` at its ack, whatever the ack says; `on_hint` at the
    cloud's hints; `on_reset` when a connection was lost. All times are nanoseconds of one clock that never goes
    back. Methods may be called from several threads. Nothing here reads a clock or does I/O.

    **Rule.** The operating points form a ladder: every 16th, 8th, 4th, 2nd frame at the lowest quality, then every
    frame at rising quality. Each rung's price in bytes a second follows from learned frame sizes (side view
    included) and the camera's measured rate. The controller keeps a rate it may use, and takes the highest rung
    that this rate pays for. The rate follows the queueing delay and the delivery rate, much as Google Congestion
    Control does (Carlucci et al., "Analysis and Design of the Google Congestion Control for Web Real-time
    Communication", MMSys 2016); capacity is read from trains of frames that queued together, else from the goodput
    (`delivery`):

    - *Overload*, when the queueing delay exceeds a limit or rises steeply, or the send queue fills: the rate falls
      at once to `backoff` times the capacity, less what drains the bytes under way within `drain_s`.
    - *Free*, when the queue has drained: the rate starts at half of what the link was seen to carry and doubles
      twice a second up to it. That is `settle` times the capacity seen during the overload, or the rate before it if
      the queue left faster than that (a stall, not a lack). It is kept for `hold_s`, longer after each failed
      attempt; then the rate grows by `growth` a second, one rung at a time, each proven by acks before the next.
    - *Outage*, when a frame would wait for more than `pause_ms`: nothing more is sent behind what is under way,
      as it would come too late. What is under way is the probe; once it is through, the link is free.

    The cloud's hints thin frames out on their own (`cloudload`): its work depends on frames, not on bytes.
    """

    def __init__(
        self,
        rule: RateRule | None = None,
        start: int = START_QUALITY,
        prior: tuple[int, ...] = PRIOR_BYTES,
    ) -> None:
        self.rule = rule or RateRule()
        rule = self.rule
        self._ladder = Ladder(FrameSizes(prior), rule.lowest, rule.highest, rule.highest_divisor)
        self._delay, self._delivery = DelayMeter(), DeliveryMeter()
        self._cloud = CloudLoad(rule)
        self._index = self._ladder.index_of(min(max(start, rule.lowest), rule.highest))
        self._rate = self._ladder.cost(self._index)
        self._known: float | None = None  # rate that the link was seen to carry; None: no limit seen
        self._hold_s, self._hold_until_ns = rule.hold_s, 0
        self._overload: _Overload | None = None
        self._capacity: float | None = None  # latest rate of a train
        self._wait, self._cloud_ms = 0.0, 0.0
        self._last_cut_ns: int | None = None
        self._last_up_ns = 0
        self._proofs = self.rule.proofs  # frames acknowledged that were sent after the last step up
        self._last_ns: int | None = None
        self._skipped = rule.highest_divisor
        self._lock = threading.Lock()

    @property
    def quality(self) -> int:
        """Return the quality in force."""
        return self._ladder.rungs[self._index].quality

    def decide(self, now_ns: int, load: Load | None = None) -> Decision:
        """Return what to do with the frame just captured."""
        with self._lock:
            self._ladder.tick(now_ns)
            self._follow(now_ns, load or Load())
            rung = self._ladder.rungs[self._index]
            divisor = max(rung.divisor, self._cloud.divisor(now_ns))
            due = self._skipped + 1 >= divisor
            send = due and not self._stuck() and not self._cloud.closed(self._delivery.count)
            self._skipped = 0 if send else self._skipped + 1
            return Decision(rung.quality, divisor, send)

    def update(self, now_ns: int, load: Load) -> int:
        """Return the quality for the next frame, for a caller that sends every frame."""
        return self.decide(now_ns, load).quality

    def on_sent(
        self, now_ns: int, seq: int, size: int, *, quality: int | None = None, main_bytes: int | None = None
    ) -> None:
        """Note that frame `seq` is on its way.

        Args:
            now_ns: when it was handed to the connection.
            seq: its number; an ack must be due for it, so a frame of the side view alone is not announced.
            size: bytes of everything sent for it: packet, side view, headers.
            quality: index it was coded at; None for the one in force.
            main_bytes: the packet's part of `size`, where known.
        """
        with self._lock:
            self._delivery.sent(now_ns, seq, size)
            self._ladder.sizes.learn(self.quality if quality is None else quality, size, main_bytes)

    def on_ack(self, now_ns: int, seq: int, cloud_ms: float = 0.0) -> None:
        """Note the ack of frame `seq`; `cloud_ms` is the time it spent in the cloud (ack's queue and decode time)."""
        with self._lock:
            feedback = self._delivery.acked(now_ns, seq, cloud_ms)
            if feedback is None:
                return
            self._delay.add(feedback)
            self._cloud_ms = cloud_ms
            self._proofs += feedback.sent_ns >= self._last_up_ns
            train = self._delivery.train_rate
            if self._overload is not None:
                self._overload.take(train)
            if train is not None:
                self._capacity = train

    def on_hint(self, now_ns: int, hint: CloudHint) -> None:
        """Take the cloud's word on its own queue."""
        with self._lock:
            self._cloud.hint(now_ns, hint)

    def on_reset(self, now_ns: int) -> None:
        """Forget what was under way: the connection is a new one, maybe over another path."""
        with self._lock:
            self._delivery.forget()
            self._delay.forget()

    # --- the rule -------------------------------------------------------------------------------------------

    def _follow(self, now_ns: int, load: Load) -> None:
        elapsed_s = 0.0 if self._last_ns is None else min(max(now_ns - self._last_ns, 0) / NS_PER_S, 1.0)
        self._last_ns = now_ns
        rule, base = self.rule, self._delay.base_ms or 0.0
        limit = max(rule.limit_ms, rule.base_share * base)
        clear = limit * rule.clear_ms / rule.limit_ms
        self._wait = wait = self._wait_ms(now_ns, load)
        rising = 2 * wait > limit and self._delay.slope_ms_s(now_ns) > rule.rise_ms_s
        if wait > limit or rising or 4 * load.queued >= max(load.capacity, 8):
            self._on_overload(now_ns)
        elif wait <= clear and load.queued <= 1:
            self._on_free(now_ns, elapsed_s)

    def _wait_ms(self, now_ns: int, load: Load) -> float:
        """Return how long a frame sent now would have to wait, as far as can be told."""
        delivery, delay = self._delivery, self._delay
        queued = max(0, load.queued - 1) * self._ladder.period_s * 1000
        if delivery.last_ack_ns is None and not delivery.count:
            # Nobody tells us of frames sent: the lag is all there is.
            return load.lag_ms * self.rule.limit_ms / self.rule.lag_limit_ms + queued
        if not delivery.count:
            return queued  # nothing of ours is under way, so nothing of ours can stand in a queue
        base = _UNKNOWN_PATH_MS if delay.base_ms is None else delay.base_ms
        # How long the cloud keeps the frames under way is not known yet: as the last one, and a quarter more.
        owed = base + 1.25 * self._cloud_ms
        return max(delivery.oldest_ms(now_ns) - owed, delay.latest_ms, 0.0) + queued

    def _on_overload(self, now_ns: int) -> None:
        rule = self.rule
        if self._overload is None:
            price = self._ladder.cost(self._index)
            probing = self._known is not None and price > self._known
            # Met on the way back to what was known, an overload says nothing against that yet.
            self._overload = _Overload(now_ns, max(price, self._known or 0.0), probing)
        over = self._overload
        capacity = over.peak or self._capacity or self._delivery.goodput(now_ns) or None
        if capacity is not None:
            standing = self._delivery.bytes_in_flight - capacity * (self._delay.base_ms or 0.0) / 1000
            self._rate = min(self._rate, max(0.0, rule.backoff * capacity - standing / rule.drain_s))
        elif self._last_cut_ns is None or now_ns - self._last_cut_ns >= _BLIND_INTERVAL_NS:
            self._last_cut_ns = now_ns
            self._rate = _BLIND_BACKOFF * self._ladder.cost(self._index)
        self._index = min(self._index, self._ladder.affordable(self._rate))

    def _stuck(self) -> bool:
        """Tell whether a frame sent now would come too late, behind those that are under way."""
        return self._delivery.count > 0 and self._wait > self.rule.pause_ms

    def _on_free(self, now_ns: int, elapsed_s: float) -> None:
        if self._delivery.last_ack_ns is None:
            self._proofs = self.rule.proofs  # nobody tells us of acks: there is nothing to wait for
        if self._overload is not None:
            self._end_overload(now_ns, self._overload)
            self._overload = None
        known, ladder = self._known, self._ladder
        price = ladder.cost(self._index)
        if known is not None and self._rate < known:
            # The link was seen to carry this: start at half of it, and double twice a second.
            self._rate = min(known, max(self._rate, known / 2) * _RAMP**elapsed_s)
        elif (known is None or now_ns >= self._hold_until_ns) and self._proofs >= self.rule.proofs:
            dearer = ladder.cost(min(self._index + 1, ladder.top)) * _HEADROOM
            self._rate = min(max(self._rate, price) * self.rule.growth**elapsed_s, dearer)
            if known is not None and price > known and now_ns - self._last_up_ns > _TRUSTED_NS:
                self._known, self._hold_s = None, self.rule.hold_s  # the limit seen then is gone
        self._climb(now_ns)

    def _climb(self, now_ns: int) -> None:
        """Take a higher rung where the rate pays for it."""
        target = self._ladder.affordable(self._rate)
        if target <= self._index:
            if self._known is not None and self._ladder.cost(self._index) > self._known * _HEADROOM:
                self._index = target  # frames have grown
            return
        sure = self._known is not None and self._rate <= self._known
        if sure:
            self._index = target
        elif now_ns - self._last_up_ns >= self.rule.step_up_ms * NS_PER_MS:
            self._index += 1
            self._last_up_ns, self._proofs = now_ns, 0

    def _end_overload(self, now_ns: int, over: _Overload) -> None:
        """Learn from an overload that has passed what the link carries."""
        rule, entry = self.rule, over.entry_rate
        # What stood in the queue left it faster than it was sent: a stall, and no lack of capacity.
        stall = not over.peak or over.peak >= _CLEARLY * entry
        known = entry if stall else rule.settle * (over.peak or 0.0)
        self._known = max(known, self._ladder.cost(0))
        self._hold_s = min(self._hold_s * 1.5, rule.hold_most_s) if over.probing else rule.hold_s
        self._hold_until_ns = now_ns + round(self._hold_s * NS_PER_S)


class _Overload:
    """One overload, from its first sign until the queue has drained."""

    def __init__(self, began_ns: int, entry_rate: float, probing: bool) -> None:
        self.began_ns, self.entry_rate = began_ns, entry_rate
        self.probing = probing  # whether it followed a step beyond what the link was known to carry
        self.peak: float | None = None  # largest train rate of its time

    def take(self, train: float | None) -> None:
        """Look at the train that a frame acknowledged meanwhile ended."""
        if train is not None:
            self.peak = max(self.peak or 0.0, train)
