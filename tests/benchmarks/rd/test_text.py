"""The report of a run, made from its JSON file alone."""

import json

import pytest

from benchmarks.rd.results import Results
from benchmarks.rd.text import headline, sections, whole


@pytest.fixture
def document():
    r = Results(("psnr",))
    for q in range(4):
        row = {"image": "a", "bytes": 20 + q, "bpp": 0.01 * (q + 1), "psnr": 20.0 + q, "side_bpp": 2.0}
        row |= {"sum_bpp": row["bpp"] + 2.0, "payload_bytes": 17 + q, "information_bits": 8.0 * (17 + q) - 3}
        r.add("mdic", "Ours", "ours", q, row)
        r.add("av1", "AV1", "codec", q, {"image": "a", "bytes": 50, "bpp": 0.02 * (q + 1), "psnr": 19.5 + q})
    r.note("a note")
    about = {
        "protocol": "128x256", "data": "test", "pairs": 1, "pairs_available": 9, "side": "webp",
        "side_bpp_mean": 2.0, "side_codecs": [{"codec": "webp", "bytes": 800.0, "bpp": 2.0}],
    }  # fmt: skip
    return json.loads(json.dumps(r.document(about, complete=True)))


def test_every_part_is_there(document):
    parts = sections(document)
    assert list(parts) == ["summary", "points", "differences", "side", "entropy", "checks", "notes"]
    summary = parts["summary"].splitlines()[2:]
    assert [line.split(" | ")[0] for line in summary[:4]] == [
        "| Ours, quality 0", "| Ours, quality 2", "| Ours, quality 3", "| AV1, setting 0"
    ]  # fmt: skip
    assert summary[4].startswith("| *paper") and "| 227 | 0.0554 | 21.30 |" in summary[4]
    assert "| Ours | 0 | 20.0 | 0.0100 | 2.000 | 2.010 | 20.00 |" in parts["points"]
    assert "| AV1 | PSNR dB |" in parts["differences"] and "read off a plot" in parts["differences"]
    assert "sum with quality 2 (0.0300)" in parts["side"] and "2.030" in parts["side"]
    assert parts["entropy"].count("\n") == 1 + 4
    assert "- the rate rises with every quality index" in parts["checks"]
    assert parts["notes"] == "- a note"


def test_the_whole_report_names_its_sample(document):
    text = whole(document)
    assert text.startswith("Protocol 128x256, 1 of 9 pairs of test, side view webp (2.000 bpp")
    assert headline(document) in text and all(
        text.count(part) == (name != "summary") for name, part in sections(document).items()
    )


def test_a_run_without_ours_has_no_checks(document):
    document["points"] = [p for p in document["points"] if p["method"] != "mdic"]
    parts = sections(document | {"side_codecs": []})
    assert {name for name, text in parts.items() if text} == {"summary", "points", "notes"}
