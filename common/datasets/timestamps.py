"""Read capture times, and repair the lines that are blank or make no sense."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\d*")
_MAX_NS = 1 << 63


def read_timestamps(path: Path) -> list[int | None]:
    """Read one time a line, in nanoseconds; a line that is no time gives None.

    Takes KITTI's "2011-09-26 13:08:24.967930880" (as UTC) and plain seconds ("1.036e-01"). Blank lines at the
    end of the file are no lines.

    Returns:
        One entry a line; empty where the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    while lines and not lines[-1].strip():
        lines.pop()
    return [parse_timestamp(line) for line in lines]


def parse_timestamp(text: str) -> int | None:
    """Parse one time in nanoseconds, or return None."""
    text = text.strip()
    match = _DATE.fullmatch(text)
    if match:
        try:
            whole = datetime(*(int(v) for v in match.groups()[:6]), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
        except ValueError:
            return None
        # Seconds and the fraction apart: a float would lose nanoseconds.
        return int(whole.timestamp()) * 1_000_000_000 + int((match.group(7) or "0").ljust(9, "0"))
    try:
        seconds = float(text)
    except ValueError:
        return None
    if not math.isfinite(seconds) or not 0 <= seconds * 1e9 < _MAX_NS:
        return None
    return round(seconds * 1e9)


def frame_rate(times_ns: list[int | None], default_fps: float = 10.0) -> float:
    """Return the usual frame rate of a list of times: one over the median step between neighbours."""
    pairs = pairwise(times_ns)
    steps = sorted(b - a for a, b in pairs if a is not None and b is not None and b > a)
    return 1e9 / steps[len(steps) // 2] if steps else default_fps


def repair(times_ns: list[int | None], fps: float) -> list[int]:
    """Fill unknown times and replace those that go backwards, so that the result strictly increases.

    The longest increasing run of the known times is believed; the rest is interpolated between neighbours and
    spaced by `fps` at the ends. Where nothing is known, times are index / fps.
    """
    kept = _longest_increasing(times_ns)
    step = 1e9 / fps
    if not kept:
        return [round(index * step) for index in range(len(times_ns))]
    out: list[int] = []
    position = 0
    for index in range(len(times_ns)):
        while position < len(kept) and kept[position][0] < index:
            position += 1
        before, after = (
            kept[position - 1] if position else None,
            kept[position] if position < len(kept) else None,
        )
        if after is not None and after[0] == index:
            out.append(after[1])
        elif before is not None and after is not None:
            share = (index - before[0]) / (after[0] - before[0])
            out.append(before[1] + round(share * (after[1] - before[1])))
        elif before is not None:
            out.append(before[1] + round((index - before[0]) * step))
        elif after is not None:
            # Times are unsigned on the wire: count back no further than to zero.
            start = max(0, after[1] - round(after[0] * step))
            out.append(start + round(index / after[0] * (after[1] - start)))
    return out


def _longest_increasing(times_ns: list[int | None]) -> list[tuple[int, int]]:
    """Return the longest subsequence (index, time) whose times leave a nanosecond at least for each index."""
    tails: list[int] = []  # smallest last value of an increasing run of each length
    last: list[int] = []  # index of that value
    parent: dict[int, int] = {}
    for index, time in enumerate(times_ns):
        if time is None or time < index:
            continue
        value = time - index  # non-decreasing here means strictly increasing with room for what lies between
        place = bisect_left(tails, value + 1)
        parent[index] = last[place - 1] if place else -1
        if place == len(tails):
            tails.append(value)
            last.append(index)
        else:
            tails[place], last[place] = value, index
    kept: list[tuple[int, int]] = []
    index = last[-1] if last else -1
    while index >= 0:
        time = times_ns[index]
        assert time is not None
        kept.append((index, time))
        index = parent[index]
    return kept[::-1]
