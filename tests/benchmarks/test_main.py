"""`python -m benchmarks`: commands are found, unknown ones named."""

import pytest

from benchmarks.__main__ import COMMANDS, main
from common.errors import UsageError


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("rd", "encode", "demo"))


@pytest.mark.parametrize("argv", [[], ["train"]])
def test_unknown_commands_are_errors(argv):
    with pytest.raises(UsageError, match="rd, "):
        main(argv)


def test_a_command_whose_module_is_missing_is_unknown(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "nowhere", ("benchmarks.nowhere.run", "not in this checkout"))
    assert main(["--help"]) == 0
    assert "nowhere" not in capsys.readouterr().out
    with pytest.raises(UsageError, match="unknown command 'nowhere'"):
        main(["nowhere"])


@pytest.mark.parametrize("command", ["rd", "encode", "geometry", "all", "bars", "tables"])
def test_commands_have_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"python -m benchmarks {command}" in capsys.readouterr().out
