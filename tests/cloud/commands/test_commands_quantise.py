"""`mdic-cloud quantise` forwards its arguments."""

from __future__ import annotations

import sys
import types

import pytest

from cloud.__main__ import main


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (3, 3)])
def test_arguments_and_exit_code_pass_through(monkeypatch: pytest.MonkeyPatch, answer, code) -> None:
    seen = []
    fake = types.ModuleType("fake")
    fake.main = lambda argv: seen.append(argv) or answer
    monkeypatch.setitem(sys.modules, "cloud.quantise", fake)
    assert main(["quantise", "--out", "x", "--help"]) == code
    assert seen == [["--out", "x", "--help"]]
