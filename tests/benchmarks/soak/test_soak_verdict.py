"""What counts as growth."""

from __future__ import annotations

from benchmarks.soak.verdict import Sample, growth, problems

FRAMES = 1000


def samples(rss=lambda f: 1000, descriptors=lambda f: 20, threads=lambda f: 10, tasks=lambda f: 40, step=10):
    return [Sample(f, rss(f), descriptors(f), threads(f), tasks(f)) for f in range(0, FRAMES, step)]


def wrong(**changes) -> list[str]:
    return problems("server", growth(samples(**changes), FRAMES))


def test_what_stays_passes_whatever_the_warm_up_was() -> None:
    assert wrong() == []
    assert wrong(rss=lambda f: 500 if f < 150 else 1000) == []
    assert wrong(rss=lambda f: 1000 + f // 50) == []
    assert wrong(descriptors=lambda f: 20 + f % 3) == []


def test_what_grows_is_told() -> None:
    assert "memory grew by" in wrong(rss=lambda f: 1000 + f // 10)[0]
    assert wrong(descriptors=lambda f: 20 + f // 100) == ["server: descriptors grew from 22 to 29"]
    assert "threads grew" in wrong(threads=lambda f: 10 + f // 200)[0]
    assert "tasks grew" in wrong(tasks=lambda f: 40 + f // 50)[0]


def test_unknown_task_counts_are_left_out() -> None:
    found = growth(samples(tasks=lambda f: None), FRAMES)
    assert found is not None and "tasks" not in found
    assert problems("server", found) == []


def test_too_few_samples_are_no_pass() -> None:
    assert growth(samples(step=400), FRAMES) is None
    assert "too few samples" in wrong(step=400)[0]
