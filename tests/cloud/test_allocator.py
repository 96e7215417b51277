"""cloud.allocator: asking is harmless, and large blocks stop faulting."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from cloud.allocator import keep_freed_memory
possible = keep_freed_memory() if sys.argv[1] == "keep" else True
for _ in range(3):
    np.ones(30_000_000 // 8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(30_000_000 // 8)
print(int(possible), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[int, int]:
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    ).stdout
    possible, count = out.split()
    return int(possible), int(count)


def test_freed_memory_is_used_again():
    possible, kept = faults("keep")
    if not possible:
        pytest.skip("this C library has no mallopt")
    assert kept < faults("default")[1] / 4 + 100
