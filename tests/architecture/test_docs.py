"""The documents stay true: commands parse, links lead somewhere, the exit codes are those of the code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import common.errors
from common.errors import MdicError

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS: dict[str, str] = {"mdic-edge": "edge.__main__", "mdic-cloud": "cloud.__main__"}
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "proto").glob("*.md"),
    ]
)


def shell_commands(document: Path) -> list[str]:
    """Return the commands of a document's ```sh blocks, continuation lines joined, comments cut."""
    blocks = re.findall(r"^```sh\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


COMMANDS = [
    pytest.param(command, id=f"{path.name}: {command.strip()[:70]}")
    for path in DOCUMENTS
    for command in shell_commands(path)
]


class Parsed(Exception):
    """Raised in place of running a command, once its arguments have parsed."""


@contextlib.contextmanager
def parse_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every argparse parser stop the program right after it understood its arguments."""
    original = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *args: object, **options: object) -> None:
        original(parser, *args, **options)  # type: ignore[call-overload]
        raise Parsed

    with monkeypatch.context() as patch, pytest.raises(Parsed):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        yield


def program_of(words: list[str]) -> tuple[Callable[[list[str]], int], list[str]] | None:
    """Return the `main` that a command would run, with its arguments; None for a command that is not ours."""
    if words[0] in PROGRAMS:
        return importlib.import_module(PROGRAMS[words[0]]).main, words[1:]
    if words[:3] == ["python", "-m", "benchmarks"]:
        return importlib.import_module("benchmarks.__main__").main, words[3:]
    return None


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        assert words[1] in make_targets()
        return
    program = program_of(words)
    assert program is not None, f"{words[0]} is not a command of this project"
    main, arguments = program
    monkeypatch.setattr(sys, "argv", words)
    with parse_only(monkeypatch):
        main(arguments)


def test_a_wrong_command_does_not_parse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = program_of(["mdic-edge", "stream", "--no-such-option", "1"])
    assert program is not None
    with pytest.raises(SystemExit) as stopped:
        program[0](program[1])
    assert stopped.value.code == 2


def test_readme_names_the_commands_that_others_rely_on() -> None:
    commands = " ; ".join(shell_commands(ROOT / "README.md"))
    for needed in ("make demo", "make test", "mdic-edge encode", "mdic-edge stream", "mdic-cloud decode",
                   "mdic-cloud serve", "python -m benchmarks rd"):  # fmt: skip
        assert needed in commands


def test_the_gate_is_the_readme_command() -> None:
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """Return the anchors that a Markdown viewer makes of the headings."""
    headings = re.findall(r"^#+ +(.+?) *$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


def error_classes() -> dict[int, str]:
    """Return exit code -> class name for every error of the tree."""
    found: dict[int, str] = {}
    for name, value in vars(common.errors).items():
        if isinstance(value, type) and issubclass(value, MdicError):
            assert value.exit_code not in found, (
                f"{name} and {found[value.exit_code]} share {value.exit_code}"
            )
            found[value.exit_code] = name
    return found


def test_exit_code_table_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert {int(code): name for code, name in rows} == error_classes()
