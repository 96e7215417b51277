"""Tell glibc to keep freed memory: on a CPU, much of a training step goes to page faults otherwise."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make malloc serve large blocks from the heap and never hand them back; return whether that was possible.

    Activations are allocated and freed at every layer. By default glibc maps each anew, and the kernel clears
    every page of it. Training gains; one decoded frame at a time hardly does. No effect off Linux's glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
