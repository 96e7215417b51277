"""The ledger of `make bench`: which result was made how, and whether it still is one of this project."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.parts import PARTS, ROOT, Part
from benchmarks.rd.results import write_json

LEDGER = "bench.json"


class Ledger:
    """Remember which part was made how."""

    def __init__(self, path: Path, parts: dict[str, dict[str, Any]]) -> None:
        """Take what the file at `path` says."""
        self.path, self.parts = path, parts
        self.whole: float | None = None

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Return the ledger of a results folder, an empty one where there is none or it is damaged."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            ledger = cls(path, document["parts"])
            ledger.whole = document.get("whole_minutes")
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path, {})
        return ledger

    def holds(self, part: Part, bundle: str | None, results: Path, out: Path) -> bool:
        """Tell whether a part is finished: same command, same bundle (and restorer), its result as it was left."""
        made = self.parts.get(part.name)
        file = results / f"{part.name}.json"
        return (
            made is not None
            and made.get("command") == _command(part, out)
            and made.get("bundle") == bundle
            and (not part.restores or made.get("restorer") == _restorer_id())
            and file.is_file()
            and made.get("sha256") == _sha256(file)
        )

    def enter(
        self, part: Part, bundle: str | None, results: Path, out: Path, minutes: float, lanes: int
    ) -> None:
        """Note a part that has just been finished, and write the file.

        Args:
            part: which.
            bundle: the default bundle's id.
            results: where its result lies.
            out: where it worked.
            minutes: how long it took.
            lanes: among how many parts the machine was shared meanwhile: it counts for its share of the minutes.
        """
        about = report.describe_run([])
        self.parts[part.name] = {
            "command": _command(part, out),
            "bundle": bundle,
            **({"restorer": _restorer_id()} if part.restores else {}),
            "commit": about["commit"],
            "cores": about["machine"]["cores"],
            "date": about["date"],
            "lanes": lanes,
            "minutes": round(minutes / lanes, 2),
            "sha256": _sha256(results / f"{part.name}.json"),
        }
        self.whole = None
        self.write()

    def write(self) -> None:
        """Write the file; `whole`, if known, is what one run of everything took by the clock."""
        ordered = {part.name: self.parts[part.name] for part in PARTS if part.name in self.parts}
        total = round(sum(entry["minutes"] for entry in ordered.values()), 2)
        took = {} if self.whole is None else {"whole_minutes": round(self.whole, 2)}
        write_json(self.path, {"schema": 2, "minutes": total, **took, "parts": ordered})


def _command(part: Part, out: Path) -> str:
    words = part.arguments(out / f"{part.name}.json", out / part.name)
    return report.command_text(report.command_line("benchmarks", words))


def _restorer_id() -> str:
    """Return the beginning of the hash of the restorer, weights and code: it stands beside the bundles, not in them."""
    folder = ROOT / "cloud" / "restoration"
    code = (folder / "network.py", folder / "gauge.py", ROOT / "cloud" / "models" / "pattern.py")
    parts = (folder / "weights" / "restorer.safetensors", *code)
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()[:16]


def bundle_id() -> str | None:
    """Return the default bundle's id: results of another one are not this project's results any more."""
    from common.bundle import Bundle
    from common.errors import BundleError

    try:
        return Bundle.load().hex
    except BundleError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
