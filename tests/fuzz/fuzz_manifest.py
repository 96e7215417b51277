"""Fuzz the bundle's manifest: what `Bundle.load` makes of the file's bytes."""

from __future__ import annotations

from pathlib import Path

import harness

with harness.instrumented():
    from common.bundle import Bundle
    from common.errors import MdicError

NAME = "manifest"
FOLDER = Path("bundle")


def run(data: bytes) -> bool:
    """Read `data` as a manifest; True when it was accepted."""
    try:
        bundle = Bundle.parse(data, FOLDER)
    except MdicError as error:
        assert str(error).isprintable()
        return False
    assert len(bundle.id) == 8
    assert all(1 <= fact <= 4096 for fact in vars(bundle.codec).values())
    assert all((FOLDER / name).parent == FOLDER for name in bundle.manifest["files"])
    return True


if __name__ == "__main__":
    harness.main(NAME, run)
