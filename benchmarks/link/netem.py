"""The same profiles by the kernel's own emulator, `tc netem`, where the kernel has it: on both ends of a veth pair."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

from benchmarks.link.capacity import NS_PER_S
from benchmarks.link.netns import DEVICE, MTU
from benchmarks.link.path import Weather
from benchmarks.link.profiles import Direction, Profile


def available() -> bool:
    """Tell whether this kernel takes a netem queue; tried on a throw-away namespace's loopback device."""
    if shutil.which("tc") is None or shutil.which("unshare") is None:
        return False
    words = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0


def arguments(weather: Weather, rate: float, limit_bytes: int, stall_s: float = 0.0) -> list[str]:
    """Return netem's options for one step of a profile.

    Args:
        weather: delay, jitter and loss.
        rate: bits a second.
        limit_bytes: size of the queue; netem counts packets, here of the full size.
        stall_s: how long the link still stands still: netem knows no rate of 0, so packets wait that much longer.
    """
    if weather.dead:
        return ["netem", "loss", "100%"]
    delay_ms = weather.delay_ms + 1000 * stall_s
    words = ["netem", "limit", str(max(1, limit_bytes // MTU)), "delay", f"{delay_ms:.3f}ms"]
    if weather.jitter_ms:
        words += [f"{weather.jitter_ms:.3f}ms"]
    if weather.loss:
        words += ["loss", f"{100 * weather.loss:.4f}%"]
    if weather.reorder:
        words += ["reorder", f"{100 * weather.reorder:.4f}%"]
    if rate > 0:
        words += ["rate", f"{max(8, round(rate))}bit"]
    return words


def changes(direction: Direction) -> Iterator[tuple[float, list[str]]]:
    """Yield (second of link time, netem's options) for ever."""
    at = 0.0
    steps = direction.steps
    for index in itertools.count():
        weather, rate = steps[index % len(steps)]
        stall = 0.0
        if rate <= 0:
            following = itertools.islice(itertools.cycle(steps), index % len(steps), None)
            stall = sum(w.seconds for w, _ in itertools.takewhile(lambda step: step[1] <= 0, following))
        yield at, arguments(weather, rate, direction.limit_bytes, stall)
        at += weather.seconds


class NetemShaper:
    """Set the queues of both namespaces and change them as the profile's time goes on."""

    def __init__(self, link: Profile, edge: str, cloud: str) -> None:
        self._ways = [(edge, link.up), (cloud, link.down)]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, epoch_ns: int) -> None:
        """Set the first step now, and follow the profile from link time 0."""
        for namespace, direction in self._ways:
            moments = changes(direction)
            self._set("add", namespace, next(moments)[1])
            if len(direction.steps) > 1:
                thread = threading.Thread(
                    target=self._follow, args=(namespace, moments, epoch_ns), daemon=True
                )
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """Change nothing more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        for namespace, _ in self._ways:
            subprocess.run(
                ["tc", "-n", namespace, "qdisc", "del", "dev", DEVICE, "root"],
                capture_output=True,
                check=False,
            )

    def _follow(self, namespace: str, moments: Iterator[tuple[float, list[str]]], epoch_ns: int) -> None:
        for at, words in moments:
            if self._stop.wait(max(0.0, at - (time.monotonic_ns() - epoch_ns) / NS_PER_S)):
                return
            self._set("change", namespace, words)

    def _set(self, verb: str, namespace: str, words: list[str]) -> None:
        command = ["tc", "-n", namespace, "qdisc", verb, "dev", DEVICE, "root", *words]
        subprocess.run(command, capture_output=True, timeout=20, check=True)
