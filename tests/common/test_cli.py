"""The frame around commands: exit codes, one line on stderr, tracebacks only on request."""

from __future__ import annotations

import subprocess
import sys

import pytest

from common.cli import EXIT_BROKEN_PIPE, EXIT_DEFECT, EXIT_INTERRUPT, run_main
from common.errors import Truncated, UsageError


def _exit_code(main, argv=()):
    with pytest.raises(SystemExit) as leaving:
        run_main(main, list(argv))
    return leaving.value.code


def _raising(error):
    def main(argv):
        raise error

    return main


def test_the_return_value_is_the_exit_code():
    assert _exit_code(lambda argv: 0) == 0
    assert _exit_code(lambda argv: 3) == 3


def test_a_known_error_is_one_line_and_its_own_code(capsys):
    assert _exit_code(_raising(Truncated(26, 3))) == 21
    captured = capsys.readouterr()
    assert captured.err == "error: bitstream truncated: need 26 bytes, have 3\n"
    assert captured.out == ""


def test_debug_may_stand_anywhere_and_does_not_reach_the_command(capsys):
    seen = []

    def main(argv):
        seen.extend(argv)
        raise UsageError("bad")

    assert _exit_code(main, ["encode", "--debug", "in"]) == 2
    assert seen == ["encode", "in"]
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: bad\n")


def test_a_defect_is_one_line_with_a_hint(capsys):
    assert _exit_code(_raising(TypeError("a\nb"))) == EXIT_DEFECT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "TypeError: a b" in err
    assert "--debug" in err


def test_a_defect_shows_its_traceback_on_request(capsys):
    assert _exit_code(_raising(TypeError("oops")), ["--debug"]) == EXIT_DEFECT
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(capsys):
    assert _exit_code(_raising(KeyboardInterrupt())) == EXIT_INTERRUPT
    assert capsys.readouterr().err == "error: interrupted\n"


def test_argparse_may_leave_on_its_own():
    assert _exit_code(_raising(SystemExit(2))) == 2


def test_arguments_come_from_the_process_by_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mdic-edge", "--debug", "doctor"])
    seen = []

    def main(argv):
        seen.extend(argv)
        return 0

    with pytest.raises(SystemExit):
        run_main(main)
    assert seen == ["doctor"]


def test_a_reader_that_leaves_is_no_error():
    program = """
from common.cli import run_main
def main(argv):
    for _ in range(100000):
        print("a line that fills the pipe")
    return 0
run_main(main)
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait(20) == EXIT_BROKEN_PIPE
