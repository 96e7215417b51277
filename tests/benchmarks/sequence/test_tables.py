"""Tables say what the document says, in its words."""

from benchmarks.sequence.tables import budget_tables, crossing_text, tables


def reading(value, status="interpolated", used=64.0):
    return {"value": value, "status": status, "used_kbps": used}


DOCUMENT = {
    "metrics": ["lpips_vgg"],
    "notes": ["a note"],
    "tracks": [
        {"view": v, "codec": "av1", "setting": 60, "bytes_a_frame": 400.0, "kbps": 32.0, "metrics": {"lpips_vgg": q},
         "stability": {"ratio": 1.5} if v == "main" else None}
        for v, q in (("side", 0.5), ("main", 0.6))
    ] + [{"view": "main", "codec": "mdic", "setting": 2, "side": "av1:60", "bytes_a_frame": 100.0, "kbps": 8.0,
          "metrics": {"lpips_vgg": 0.3}, "stability": None}],
    "comparisons": [{
        "scope": "both", "metric": "lpips_vgg", "rival": "av1", "label": "AV1", "split": "equal split",
        "budgets": [
            {"kbps": 32.0, "ours": reading(None, "not reached", 40.0), "other": reading(None, "not reached", 64.0),
             "better": "neither"},
            {"kbps": 64.0, "ours": reading(0.4), "other": reading(0.55), "better": "ours"},
            {"kbps": 256.0, "ours": reading(0.3, "held", 136.0), "other": reading(0.25), "better": "other"},
        ],
        "crossings": {"low_kbps": 64.0, "high_kbps": 136.0, "kbps": [99.6], "better_at_low": "ours", "why": ""},
    }],
    "showcase": None,
}  # fmt: skip


def test_points_are_charged_for_both_cameras():
    text = tables(DOCUMENT)
    assert "| MDIC q2 | AV1 crf 60 | 100 | 400 | 500 | 8.0 | 32.0 | 40.0 | 0.300 | 0.400 |  |" in text
    assert "| AV1 crf 60 | AV1 crf 60 | 400 | 400 | 800 | 32.0 | 32.0 | 64.0 | 0.600 | 0.550 | 1.50 |" in text
    assert text.endswith("- a note")


def test_budgets_mark_the_better_one_and_what_was_not_reached():
    title, lines = budget_tables(DOCUMENT)
    assert "LPIPS-VGG at equal total bytes" in title
    assert (
        "| – (40) / – (64) | **0.400** / 0.550 | 0.300* / **0.250** | at 100 kb/s; below, ours better"
        in lines
    )


def test_crossings_in_words():
    none = {"low_kbps": 64.0, "high_kbps": 136.0, "kbps": [], "better_at_low": "other", "why": "x"}
    assert crossing_text(none) == "none; theirs better over 64..136 kb/s"
    apart = {
        "low_kbps": None,
        "high_kbps": None,
        "kbps": [],
        "better_at_low": "tie",
        "why": "no common rates",
    }
    assert crossing_text(apart) == "no common rates"
