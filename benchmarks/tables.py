"""`python -m benchmarks tables`: the tables and plots of the documents, from the results alone.

A document marks a place with `<!-- table NAME PART -->` and `<!-- /table -->`; between them goes PART of
RESULTS/NAME.json. Every part that a result has is listed by `--list`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import MdicError, UsageError

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "benchmarks/README.md", "docs/operations.md")
RESULTS = ROOT / "benchmarks" / "results"
_MARK = re.compile(r"(<!-- table (\S+) (\S+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)
# Where a benchmark makes Markdown of its JSON file: a text, or named parts. For the others the text that they printed
# (RESULTS/NAME.md) is the one part there is.
RENDERERS = {
    "rd": ("benchmarks.rd.text", "sections"),
    "geometry": ("benchmarks.rd.geometry", "table"),
    "encode": ("benchmarks.encode", "table"),
    "telemetry": ("benchmarks.telemetry", "table"),
    "temporal": ("benchmarks.temporal", "table"),
    "grain": ("benchmarks.grain", "table"),
    "sequence": ("benchmarks.sequence.tables", "tables"),
    "faults": ("benchmarks.stream_tables", "faults"),
    "fuzz": ("benchmarks.fuzz", "table"),
    "gateway": ("benchmarks.stream_tables", "gateway"),
    "link": ("benchmarks.stream_tables", "link"),
    "soak": ("benchmarks.stream_tables", "soak"),
    "ablation": ("benchmarks.ablation.outcome", "sections"),
    "gpu-decode": ("benchmarks.gpu.summary", "table"),
}
WHOLE = "all"


class StaleTable(MdicError):
    """A document shows other numbers than the results hold."""

    def __init__(self, places: list[str]) -> None:
        super().__init__(
            f"not as the results say: {', '.join(places)} (python -m benchmarks tables writes them)"
        )


def main(argv: list[str]) -> int:
    """Rewrite the marked tables and the plots, or with --check only compare."""
    options = _parser().parse_args(argv)
    documents = [Path(name) for name in options.documents] or [ROOT / name for name in DOCUMENTS]
    if options.list:
        for path in sorted(options.results.glob("*.json")):
            shown = [part for part, text in parts_of(options.results, path.stem).items() if text]
            print(f"{path.stem}: {', '.join(shown) or 'nothing to show'}")
        return 0
    stale = []
    for document in documents:
        before = document.read_text(encoding="utf-8")
        after, differing = filled(before, options.results)
        if options.check:
            stale += [f"{document.name}: {place}" for place in differing]
        elif after != before:
            document.write_text(after, encoding="utf-8")
            print(f"wrote {document}", file=sys.stderr)
    if stale:
        raise StaleTable(stale)
    if not options.check and not options.no_plots:
        for path in plots(options.results):
            print(f"wrote {path}", file=sys.stderr)
    return 0


def filled(text: str, results: Path) -> tuple[str, list[str]]:
    """Return a document with every marked table filled in, and the names of those that were different.

    A table whose result is not there keeps what it holds.

    Raises:
        UsageError: a mark names a part that its result does not have.
    """
    differing = []

    def fill(match: re.Match[str]) -> str:
        opening, name, part, held, closing = match.groups()
        if not (results / f"{name}.json").is_file():
            return match.group(0)
        parts = parts_of(results, name)
        if part not in parts:
            raise UsageError(f"no part {part!r} in {name}.json (it has: {', '.join(parts) or 'none'})")
        body = f"\n{parts[part].strip() or '*Not in this result.*'}\n\n"
        if body != held:
            differing.append(f"{name} {part}")
        return opening + body + closing

    return _MARK.sub(fill, text), differing


def parts_of(results: Path, name: str) -> dict[str, str]:
    """Return the Markdown parts of a result: name -> text."""
    document = _read(results / f"{name}.json")
    render = _renderer(document)
    if render is not None:
        made = render(document)
        return {WHOLE: made} if isinstance(made, str) else dict(made)
    printed = results / f"{name}.md"
    return {WHOLE: printed.read_text(encoding="utf-8")} if printed.is_file() else {}


def plots(results: Path) -> list[Path]:
    """Draw the rate curves of every result of `rd` beside it, the front page's too, and return the paths."""
    from benchmarks.rd.plots import draw_one, draw_panel
    from benchmarks.rd.results import Results

    written = []
    for path in sorted(results.glob("rd-*.json")):
        document = _read(path)
        if _command(document) != "rd" or not any(p["method"] == "mdic" for p in document["points"]):
            continue
        run, protocol, pairs = Results.load(document), document["protocol"], document["pairs"]
        written.append(draw_panel(run, protocol, pairs, path.with_suffix(".png")))
        front = ROOT / "docs" / "img" / f"{path.stem}-lpips-vgg.png"
        if front.is_file() and results.resolve() == RESULTS.resolve():
            written.append(draw_one(run, protocol, pairs, "lpips_vgg", front))
    return written


def _renderer(document: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str | dict[str, str]] | None:
    place = RENDERERS.get(_command(document))
    if place is None:
        return None
    found: Callable[[Mapping[str, Any]], str | dict[str, str]] = getattr(
        importlib.import_module(place[0]), place[1]
    )
    return found


def _command(document: Mapping[str, Any]) -> str:
    """Return the command of `python -m benchmarks` or `make` that made a result, "" where it does not say."""
    words = str(document.get("command", "")).split()
    if words[:1] == ["make"] and len(words) > 1:
        return words[1]
    return words[3] if words[:3] == ["python", "-m", "benchmarks"] and len(words) > 3 else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as a result: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no result of a benchmark")
    return document


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("documents", nargs="*", help=f"Markdown files (default: {', '.join(DOCUMENTS)})")
    add("--results", type=Path, default=RESULTS, help="folder of the results (default benchmarks/results)")
    add("--check", action="store_true", help="change nothing; fail where a table differs from its result")
    add("--list", action="store_true", help="list the parts of every result and stop")
    add("--no-plots", action="store_true", help="leave the plots as they are")
    return parser
