"""The network goes away: a relay between edge and cloud stops passing bytes, or breaks its connections."""

from __future__ import annotations

import shutil
import signal
import time

import pytest
from fault_rig import FULL, Process, Rig
from relay import Cable


@pytest.mark.parametrize(
    "seconds",
    [1, pytest.param(10, marks=pytest.mark.long), pytest.param(60, marks=pytest.mark.long)],
)
def test_silent_cut(rig: Rig, account: dict[str, object], seconds: int) -> None:
    rig.cloud()
    cable = Cable(rig.port)
    try:
        edge = rig.edge("--timeout", "90", port=cable.port, fps=10)
        time.sleep(3)
        cable.cut(seconds)
        assert edge.wait() == 0, edge.told()
    finally:
        cable.unplug()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames


def test_connections_reset_again_and_again(rig: Rig, account: dict[str, object]) -> None:
    rig.cloud()
    cable = Cable(rig.port)
    try:
        edge = rig.edge(port=cable.port, fps=10)
        for _ in range(6 if FULL else 3):
            time.sleep(1)
            cable.unplug()
            time.sleep(0.3)
            cable.plug_in()
        assert edge.wait() == 0, edge.told()
    finally:
        cable.unplug()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames


def test_same_vehicle_from_two_places(rig: Rig, account: dict[str, object]) -> None:
    """Replay a spool's copy beside the original, under the same name: nothing is kept twice, nothing replaced."""
    alone = rig.edge("--timeout", "2")
    assert alone.wait() == 41, alone.told()
    copy = rig.folder / "copy"
    shutil.copytree(rig.spool, copy)
    rig.cloud()
    first = rig.edge("--timeout", "10")
    command = [*first.command]
    command[command.index("--spool") + 1] = str(copy)
    second = Process(command).start()
    rig.processes.append(second)
    codes = {first.wait(), second.wait()}
    lines = rig.index()
    numbers = [line["seq"] for line in lines]
    assert len(numbers) == len(set(numbers)) == rig.frames
    before = rig.captured()
    assert {line["seq"]: line["bitstream_sha256"] for line in lines} == before
    # One brings the frames. The other finds them there: it had its turn too, or learns that its numbering is in use.
    assert 0 in codes and codes <= {0, 43}, (first.told(), second.told())
    account.update(captured=rig.frames, kept_once=len(numbers))


def test_another_vehicle_of_the_same_name_is_refused(rig: Rig) -> None:
    rig.cloud()
    first = rig.edge(fps=5)
    time.sleep(4)
    stranger = rig.edge("--timeout", "2", "--frames", "3")
    command = stranger.command
    stranger.kill()
    command[command.index("--spool") + 1] = str(rig.folder / "other")
    stranger = Process(command).start()
    rig.processes.append(stranger)
    assert stranger.wait() == 44, stranger.told()
    first.signal(signal.SIGTERM)
    assert first.wait() == 0, first.told()
    rig.settle()
