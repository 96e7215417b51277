"""The documents' tables come from the results, and stay what the results say."""

import json

import pytest

from benchmarks.rd.results import Results, write_json
from benchmarks.tables import DOCUMENTS, StaleTable, filled, main, parts_of, plots
from common.errors import UsageError

MARKED = "before\n<!-- table rd-x summary -->\nold\n<!-- /table -->\nafter\n"


@pytest.fixture
def results(tmp_path):
    r = Results(("psnr",))
    for q in range(2):
        r.add(
            "mdic",
            "Ours",
            "ours",
            q,
            {"image": "a", "bytes": 50 + q, "bpp": 0.01 + q / 100, "psnr": 20.5 + q},
        )
    about = {
        "command": "python -m benchmarks rd --data x",
        "protocol": "full",
        "pairs": 1,
        "pairs_available": 1,
    }
    write_json(
        tmp_path / "rd-x.json", r.document(about | {"side": "webp", "side_bpp_mean": 2.0}, complete=True)
    )
    (tmp_path / "other.json").write_text(json.dumps({"command": "python -m benchmarks unheard-of"}))
    (tmp_path / "other.md").write_text("what it printed\n")
    return tmp_path


def test_a_marked_place_is_filled_and_the_rest_left_alone(results):
    text, differing = filled(MARKED, results)
    assert text.startswith("before\n<!-- table rd-x summary -->\n\n| ") and text.endswith(
        "<!-- /table -->\nafter\n"
    )
    assert "| Ours, quality 1 | 51 | 0.0200 | 21.50 |" in text and "old" not in text
    assert differing == ["rd-x summary"]
    assert filled(text, results) == (text, [])


def test_a_result_without_a_renderer_shows_what_it_printed(results):
    assert parts_of(results, "other") == {"all": "what it printed\n"}


def test_a_table_without_its_result_keeps_what_it_holds(results):
    text = MARKED.replace("rd-x", "rd-missing")
    assert filled(text, results) == (text, [])


def test_a_part_that_does_not_exist_is_named_and_an_empty_one_says_so(results):
    with pytest.raises(UsageError, match="no part 'sumary'"):
        filled(MARKED.replace("summary", "sumary"), results)
    assert "*Not in this result.*" in filled(MARKED.replace("summary", "side"), results)[0]


def test_check_fails_on_a_stale_table_and_changes_nothing(results, capsys):
    document = results / "page.md"
    document.write_text(MARKED)
    argv = [str(document), "--results", str(results), "--no-plots"]
    with pytest.raises(StaleTable, match=r"page\.md: rd-x summary"):
        main([*argv, "--check"])
    assert document.read_text() == MARKED
    assert main(argv) == 0
    assert main([*argv, "--check"]) == 0


def test_plots_lie_beside_their_results(results):
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    assert [p.name for p in plots(results)] == ["rd-x.png"]
    assert (results / "rd-x.png").stat().st_size > 10_000


def test_the_project_s_documents_show_what_its_results_hold(root):
    marks = [(root / name).read_text("utf-8").count("<!-- table ") for name in DOCUMENTS]
    assert sum(marks) > 5
    assert main(["--check"]) == 0
