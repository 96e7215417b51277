"""Put the telemetry dictionary into a bundle that was exported without one; the bundle's id changes with it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from common.bundle import MANIFEST, Bundle
from common.errors import BundleCorrupt, UsageError
from common.telemetry import TelemetryCodec
from common.telemetry.dictionary import DICTIONARY_FILE, SHIPPED

_TABLE = re.compile(rf'\n*^\[files\."{re.escape(DICTIONARY_FILE)}"\]\n(?:(?!\[).*\n?)*', re.MULTILINE)


def add_dictionary(folder: Path, source: Path = SHIPPED) -> Bundle:
    """Copy `source` into the bundle in `folder`, list it in the manifest, and return the bundle opened again.

    A dictionary that is there already is replaced; with the same content nothing changes.

    Raises:
        BundleError: the folder holds no bundle, or the file is no zstd dictionary.
        UsageError: the file cannot be read, or the folder not written.
    """
    bundle = Bundle.load(folder)
    try:
        content = source.read_bytes()
    except OSError as why:
        raise UsageError(f"dictionary {source}: {why.strerror or why}") from why
    try:
        TelemetryCodec(content)
    except BundleCorrupt as why:
        raise BundleCorrupt(source, why.why) from why
    manifest = bundle.path / MANIFEST
    try:
        text = _TABLE.sub("\n", manifest.read_text("utf-8")).rstrip("\n") + "\n\n" + files_table(content)
        _replace(bundle.path / DICTIONARY_FILE, content)
        _replace(manifest, text.encode())
    except OSError as why:
        raise UsageError(f"bundle {bundle.path} cannot be changed: {why.strerror or why}") from why
    changed = Bundle.load(bundle.path)
    for name in changed.manifest["files"]:
        changed.file(name)
    return changed


def files_table(content: bytes) -> str:
    """Return the manifest's table of a dictionary."""
    digest = hashlib.sha256(content).hexdigest()
    return f'[files."{DICTIONARY_FILE}"]\nsha256 = "{digest}"\nbytes = {len(content)}\n'


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
