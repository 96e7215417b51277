"""What rows of timings come to."""

from benchmarks.gpu.summary import best, goal, notes, table

PLACE = {"height": 384, "width": 1248, "batch": 1}


def row(what, steps, variant, ms, **more):
    return {
        "what": what,
        **PLACE,
        "steps": steps,
        "variant": variant,
        "median_ms": ms,
        "p95_ms": ms + 1,
        **more,
    }


ROWS = [
    row("ours", 1, "fp32", 40.0, psnr_to_fp32=100.0),
    row("ours", 1, "fp16", 18.0, psnr_to_fp32=45.0),
    row("ours", 1, "bf16", 9.0, psnr_to_fp32=None),
    {"what": "ours", **PLACE, "steps": 1, "variant": "fp16-graph", "failed": "RuntimeError: no"},
    row("ours", 2, "fp32", 50.0, psnr_to_fp32=100.0),
    row("reference", 10, "fp16", 300.0),
    row("reference", 10, "fp16-graph", 180.0),
]


def test_the_best_works_and_is_fastest():
    one, two = best(ROWS)
    assert (one["variant"], one["median_ms"], one["as_served_ms"]) == ("fp16", 18.0, 40.0)
    assert (one["reference_ms"], one["reference_variant"]) == (180.0, "fp16-graph")
    assert (two["steps"], two["median_ms"]) == (2, 50.0)


def test_without_a_reference_there_is_none():
    found = best([r for r in ROWS if r["what"] == "ours"])
    assert found[0]["reference_ms"] is None


def test_the_goal_counts_on_its_own_device_only():
    found = best(ROWS)
    assert goal(found, "NVIDIA H200")["reached"] is True
    assert goal(found, "NVIDIA H200")["steps"] == 1
    assert goal(best(ROWS[:1]), "NVIDIA H200")["reached"] is False
    assert goal(found, "CPU, something")["reached"] is None
    assert goal([], "NVIDIA H200")["reached"] is None


def document(tiny):
    found = best(ROWS)
    return {
        "device": "NVIDIA H200", "torch": "2.0", "settings": {"repeat": 50}, "rows": ROWS, "best": found,
        "reference": {"tiny": tiny, "steps": 10}, "goal": goal(found, "NVIDIA H200"),
        "notes": notes(tiny, True, "random"),
    }  # fmt: skip


def test_the_table_names_variants_ratio_goal_and_failures():
    text = table(document(tiny=False))
    assert "| 384x1248 | 1 | 1 | 18.00 | 19.00 | fp16 | 40.00 | 180.00 (fp16-graph) | 10.0 |" in text
    assert "SD-2.1-sized, 10 steps with guidance" in text
    assert "reached (18.00 ms at 1 step(s))" in text
    assert "Could not be run: ours, fp16-graph: RuntimeError: no" in text


def test_a_scaled_down_reference_gives_no_ratio():
    text = table(document(tiny=True))
    assert "SCALED-DOWN" in text and "SD-2.1-sized" not in text
    assert "180.00 (fp16-graph) |  |" in text
    assert "no number is of use" in text
