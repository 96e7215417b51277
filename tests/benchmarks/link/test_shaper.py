from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.link.children import Child
from benchmarks.link.netns import CLOUD_ADDRESS, Namespaces
from benchmarks.link.shaper import Ledger

MS = 1_000_000

RECEIVE = """
import json, socket, sys, time
box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); box.bind(("0.0.0.0", 5005)); box.settimeout(4)
print("ready", flush=True)
got = []
try:
    while True:
        data = box.recv(2000)
        got.append([int.from_bytes(data[:8], "big"), time.monotonic_ns(), len(data)])
except TimeoutError:
    print(json.dumps(got), flush=True)
"""
SEND = """
import socket, sys, time
box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
count, gap, size = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
for _ in range(count):
    box.sendto(time.monotonic_ns().to_bytes(8, "big") + bytes(size - 8), (sys.argv[1], 5005)); time.sleep(gap)
"""


def test_the_ledger_counts_by_tenths_of_a_second() -> None:
    ledger = Ledger()
    ledger.entered(10 * MS, 1000, None, 120 * MS, 1000)
    ledger.entered(20 * MS, 500, "lost", 20 * MS, 1000)
    seen = ledger.as_dict()
    assert seen["packets"] == 2
    assert seen["drops"] == {"lost": 1}
    assert seen["bins"] == {
        "offered": [1500, 0],
        "left": [0, 1000],
        "dropped": [500, 0],
        "backlog": [1000, 0],
    }


def carry(
    profile: str, count: int, gap_s: float, size: int, folder: Path
) -> tuple[list[list[int]], dict[str, object]]:
    """Send datagrams from the edge's namespace to the cloud's; return what came and the shaper's ledgers."""
    with Namespaces() as spaces:
        assert spaces.descriptors is not None
        edge, cloud = spaces.descriptors
        words = ["benchmarks.link.shaper", "--profile", profile, "--seed", "1"]
        words += ["--edge", str(edge), "--cloud", str(cloud)]
        with Child("shaper", words, folder / "shaper.log", descriptors=(edge, cloud)) as shaper:
            shaper.line("ready", 60)
            receiver = subprocess.Popen(
                spaces.command(spaces.cloud, sys.executable, "-c", RECEIVE), stdout=subprocess.PIPE, text=True
            )
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "ready\n"
            shaper.tell(str(time.monotonic_ns()))
            sender = spaces.command(spaces.edge, sys.executable, "-c", SEND, CLOUD_ADDRESS)
            subprocess.run([*sender, str(count), str(gap_s), str(size)], check=True, timeout=60)
            got = json.loads(receiver.stdout.readline())
            receiver.wait(10)
            return got, shaper.report(10)


@pytest.mark.usefixtures("namespaces_allowed")
def test_real_packets_take_as_long_as_the_profile_says(tmp_path: Path) -> None:
    got, ledgers = carry("geo", 20, 0.05, 200, tmp_path)
    assert len(got) >= 18
    waits = sorted((received - sent) / MS for sent, received, _ in got)
    assert waits[0] > 299
    assert waits[len(waits) // 2] < 400
    assert ledgers["up"]["packets"] == 20  # type: ignore[index]


@pytest.mark.usefixtures("namespaces_allowed")
def test_real_packets_come_no_faster_than_the_rate_and_a_full_queue_drops(tmp_path: Path) -> None:
    got, ledgers = carry("64k", 60, 0.0, 1000, tmp_path)  # 60 kB at once into a queue of 32 kB
    assert 28 <= len(got) <= 34
    rate = sum(size + 28 for _, _, size in got[1:]) * 8e9 / (got[-1][1] - got[0][1])
    assert 58_000 < rate < 66_000
    assert ledgers["up"]["drops"] == {"queue_full": 60 - len(got)}  # type: ignore[index]
