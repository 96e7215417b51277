"""SIGKILL of the edge, of the cloud, of both, at random moments; SIGSTOP; a cloud that stays away for long."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from fault_rig import FULL, Rig

ROUNDS = 100 if FULL else 4


def test_killed_at_random_moments(tmp_path: Path, account: dict[str, object]) -> None:
    """Every round starts what is not running, waits a random moment and kills the edge, the cloud or both."""
    rng = random.Random(4)
    # Long enough that no pass of the camera is over before the last round.
    rig = Rig(tmp_path, frames=4000 if FULL else 400)
    victims = {"edge": 0, "cloud": 0, "both": 0}
    try:
        cloud, edge = rig.cloud(), rig.edge(fps=40)
        for _ in range(ROUNDS):
            if not cloud.running:
                cloud = rig.cloud(wait=rng.random() < 0.5)
            if not edge.running:
                edge = rig.edge(fps=40)
            # An edge needs a second or two to start: some die before their first frame, most amid the stream.
            time.sleep(rng.uniform(0.2, 3.5))
            victim = rng.choice(sorted(victims))
            victims[victim] += 1
            if victim != "edge":
                cloud.kill()
            if victim != "cloud":
                edge.kill()
        if not cloud.running:
            rig.cloud()
        if edge.running:
            edge.signal(
                signal.SIGTERM
            )  # the rest of the drive is not needed: what was captured has to arrive
            edge.wait()
        last = rig.edge("--frames", "5")
        assert last.wait() == 0, last.told()
        kept = rig.settle()
    finally:
        rig.stop()
    account.update(rounds=ROUNDS, killed=victims, captured=kept, kept_once=kept)
    assert kept > ROUNDS


@pytest.mark.long
@pytest.mark.parametrize("who", ["edge", "cloud"])
def test_stopped_for_twenty_seconds(rig: Rig, account: dict[str, object], who: str) -> None:
    cloud, edge = rig.cloud(), rig.edge("--timeout", "60", fps=20)
    time.sleep(3)
    victim = edge if who == "edge" else cloud
    victim.signal(signal.SIGSTOP)
    time.sleep(20)
    victim.signal(signal.SIGCONT)
    assert edge.wait() == 0, edge.told()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames


def test_edge_starts_before_the_cloud(rig: Rig, account: dict[str, object]) -> None:
    edge = rig.edge()
    time.sleep(4)
    assert edge.running, edge.told()
    rig.cloud()
    assert edge.wait() == 0, edge.told()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames


def test_nobody_there_keeps_the_frames_for_the_next_run(rig: Rig) -> None:
    alone = rig.edge("--timeout", "2")
    assert alone.wait() == 41, alone.told()
    assert len(rig.captured()) == rig.frames and not rig.index()
    rig.cloud()
    again = rig.edge()
    assert again.wait() == 0, again.told()
    assert rig.settle() == rig.frames
    # That pass is over: the same command again is another one, and takes nothing's place.
    more = rig.edge("--frames", "2")
    assert more.wait() == 0, more.told()
    assert rig.settle() == rig.frames + 2
