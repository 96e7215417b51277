"""What a run has finished, on disk: coded views, rows of numbers, rebuilt frames; a later run goes on from there.

Everything lies under a hash of the facts it depends on (pixels, settings, bundle, decoder code, versions), so a
changed model or another clip never meets old numbers, and nothing has to be deleted by hand.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.results import write_json
from benchmarks.sequence.lowdelay import CodedVideo


def fingerprint(facts: Any) -> str:
    """Return 16 hex digits that stand for JSON-like facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def code_fingerprint(files: Iterable[Path]) -> str:
    """Return 16 hex digits that stand for the contents of source files, folders searched for `*.py`."""
    sha = hashlib.sha256()
    for path in files:
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if source.is_file():
                sha.update(source.name.encode() + b"\0" + source.read_bytes())
    return sha.hexdigest()[:16]


class Store:
    """Keep results in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def coded(self, facts: Mapping[str, Any], make: Callable[[], CodedVideo]) -> CodedVideo:
        """Return the coded view of these facts, made now or earlier; a file cut short is made again."""
        path = self._folder / "coded" / f"{fingerprint(facts)}.npz"
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    ends = np.cumsum(stored["sizes"])
                    data = stored["data"].tobytes()
                    packets = [data[e - s : e] for s, e in zip(stored["sizes"], ends, strict=True)]
                    return CodedVideo(packets, [int(n) for n in stored["counted"]])
            except (OSError, ValueError, KeyError, BadZipFile):
                path.unlink(missing_ok=True)
        coded = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part.npz")
        np.savez(
            draft,
            data=np.frombuffer(b"".join(coded.packets), np.uint8),
            sizes=np.array([len(packet) for packet in coded.packets], np.int64),
            counted=np.array(coded.counted, np.int64),
        )
        os.replace(draft, path)
        return coded

    def rows(self, frame: int) -> dict[str, dict[str, Any]]:
        """Return fingerprint -> row of everything measured on a frame so far."""
        path = self._rows_path(frame)
        try:
            stored = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def add_rows(self, frame: int, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep rows of a frame beside those already there."""
        write_json(self._rows_path(frame), self.rows(frame) | {key: dict(row) for key, row in rows.items()})

    def arrays(self, key: str, frame: int) -> dict[str, NDArray[Any]] | None:
        """Return what `keep_arrays` kept of a frame, or None."""
        path = self._arrays_path(key, frame)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, KeyError, BadZipFile):
            return None

    def keep_arrays(self, key: str, frame: int, **arrays: NDArray[Any]) -> None:
        """Keep arrays of a frame without loss."""
        path = self._arrays_path(key, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part.npz")
        write: Any = np.savez_compressed  # its types take no names for arrays
        write(draft, **arrays)
        os.replace(draft, path)

    def _rows_path(self, frame: int) -> Path:
        return self._folder / "rows" / f"{frame:06d}.json"

    def _arrays_path(self, key: str, frame: int) -> Path:
        return self._folder / "frames" / key / f"{frame:06d}.npz"
