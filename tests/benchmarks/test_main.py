"""`python -m benchmarks`: commands are found, unknown ones named."""

import pytest

from benchmarks.__main__ import main
from common.errors import UsageError


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("rd", "encode", "demo"))


@pytest.mark.parametrize("argv", [[], ["train"]])
def test_unknown_commands_are_errors(argv):
    with pytest.raises(UsageError, match="rd, encode or demo"):
        main(argv)


@pytest.mark.parametrize("command", ["rd", "encode"])
def test_commands_have_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "--json" in capsys.readouterr().out
