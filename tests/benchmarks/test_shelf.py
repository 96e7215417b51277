"""benchmarks.shelf: results by name; what is damaged or unfinished is not there."""

import json

import pytest

from benchmarks.shelf import Shelf


@pytest.mark.parametrize("text", [None, "not json", "[]", '{"complete": false}'])
def test_what_is_missing_damaged_or_unfinished_is_not_there(tmp_path, text):
    if text is not None:
        (tmp_path / "one.json").write_text(text)
    assert Shelf(tmp_path).get("one.json") is None


def test_a_result_is_read_once(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"command": "python -m benchmarks encode", "ms": 3}))
    shelf = Shelf(tmp_path)
    assert shelf.get("one.json") == {"command": "python -m benchmarks encode", "ms": 3}
    path.unlink()
    assert shelf.get("one.json")["ms"] == 3
