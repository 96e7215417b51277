"""Timing: counts of calls, caps, the choice of variants, and CUDA graphs where there is a GPU."""

import time

import pytest

torch = pytest.importorskip("torch", reason="torch (extra cloud) is not installed")

from benchmarks.gpu.timing import (  # noqa: E402
    AS_SERVED,
    CPU_VARIANTS,
    CUDA_VARIANTS,
    MIN_RUNS,
    agreement_db,
    graphed,
    pick_variants,
    time_calls,
)
from common.errors import UsageError  # noqa: E402

CPU = torch.device("cpu")


class Sleeper:
    """Sleeps as long as told, call by call, then as long as the last time."""

    def __init__(self, *seconds):
        self.seconds, self.calls = list(seconds), 0

    def __call__(self):
        self.calls += 1
        time.sleep(self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0])


def test_warm_up_is_not_timed_and_times_are_a_frames():
    call = Sleeper(0.2, 0.2, 0.01)
    timed = time_calls(call, CPU, batch=2, warm_up=2, repeat=8, seconds=60)
    assert call.calls == 10 and timed.runs == 8
    assert 5 <= timed.median < 50 and timed.median <= timed.p95
    assert timed.device_median is None


def test_a_slow_call_ends_early_but_not_before_a_handful():
    call = Sleeper(0.02)
    assert time_calls(call, CPU, 1, warm_up=0, repeat=50, seconds=0.0).runs == MIN_RUNS == call.calls


def test_variants_by_name_keep_the_one_that_is_served():
    assert pick_variants(None, CUDA_VARIANTS) == CUDA_VARIANTS
    assert [v.name for v in pick_variants("fp16-graph, bf16", CUDA_VARIANTS)] == [
        "fp32",
        "bf16",
        "fp16-graph",
    ]
    with pytest.raises(UsageError, match=r"fp16-graph.*fp32-contiguous"):
        pick_variants("fp16-graph", CPU_VARIANTS)


def test_variants_have_names_of_their_own():
    for group in (CPU_VARIANTS, CUDA_VARIANTS):
        assert len({v.name for v in group}) == len(group) and AS_SERVED in group


def test_agreement_is_psnr_and_none_for_garbage():
    a = torch.zeros(1, 3, 8, 8)
    assert agreement_db(a, a) == 100.0
    assert agreement_db(a, a + 0.2) == pytest.approx(20.0, abs=0.01)
    assert agreement_db(a, a * float("nan")) is None


@pytest.mark.gpu
def test_a_graph_replays_the_same_answer():
    x = torch.randn(64, 64, device="cuda")
    replay = graphed(lambda: (x @ x).relu())
    x.normal_()
    assert torch.allclose(replay(), (x @ x).relu(), atol=1e-3)
