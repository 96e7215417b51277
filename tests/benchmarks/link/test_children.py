from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.link.children import Child
from common.errors import StreamError


def test_a_child_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = Child("the child", ["benchmarks.link.shaper", "--profile", "none"], tmp_path / "log")
    with child, pytest.raises(StreamError, match=r"the child ended early: .*required"):
        child.line("ready", 60)


def test_a_child_is_spoken_to_and_ended(tmp_path: Path) -> None:
    with Child("echo", ["json.tool", "--compact"], tmp_path / "log") as child:
        child.tell('{"a": 1}')
        assert child.report(60) == {"a": 1}
    assert child.process.poll() is not None
