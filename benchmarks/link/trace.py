"""Read mahimahi traces: each line is the millisecond at which one packet of 1500 bytes may leave the link."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError

PACKET_BYTES = 1500
MOST_BYTES = 64 << 20
MOST_MS = 24 * 3600 * 1000


def read_trace(path: Path) -> tuple[int, ...]:
    """Return the trace's moments in ms, ascending; the last one is also its length (it repeats from there).

    Raises:
        InputError: the file cannot be read, or is no trace: not whole numbers, descending, empty, or all at 0 ms.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"trace {path} is larger than {MOST_BYTES >> 20} MiB")
        words = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"trace {path} cannot be read: {error}") from None
    moments: list[int] = []
    for number, word in enumerate(words, 1):
        if not word.isdigit() or len(word) > 9 or int(word) > MOST_MS:
            raise InputError(f"trace {path}, entry {number}: {word[:20]!r} is no time in ms within a day")
        moments.append(int(word))
        if number > 1 and moments[-1] < moments[-2]:
            raise InputError(f"trace {path}, entry {number}: {word} ms is before {moments[-2]} ms")
    if not moments or moments[-1] == 0:
        raise InputError(f"trace {path} lets no packet through")
    return tuple(moments)
