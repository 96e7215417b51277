"""The model bundle: a folder that joins the edge's encoder and the cloud's decoder (docs/architecture.md).

    manifest.toml         name, sizes, and the sha256 of every other file
    encoder.onnx          image and quality to latents (edge)
    entropy.safetensors   integer hyper decoder and probability tables (both ends)
    decoder.safetensors   the decoder's weights (cloud)
    doubled.safetensors   what is added to them for frames coded at double size (cloud; optional)
    large.safetensors     the same for large frames coded at their own size (cloud; optional)
    telemetry.zdict       zstd dictionary of the rig's records (both ends; optional)

The bundle's id is the first 8 bytes of the manifest's sha256, so it covers every file.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import BundleCorrupt, BundleNotFound
from common.resampling import CONTEXTS, RESAMPLING, WAVES, CodedView, Resampling

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_BUNDLE = "compact"
MANIFEST, ENTROPY = "manifest.toml", "entropy.safetensors"
FORMAT, RESAMPLED, ILLUMINATED, COUNTED, IN_CONTEXT = 1, 2, 3, 4, 5
"""What a manifest may state: with `contexts` in its `[[resampling]]` a bundle is of format 5, else with `waves` there
of format 4, else with `[illumination]` of format 3, else with `[[resampling]]` of format 2, since a reader must not
overlook them."""
ILLUMINATION = "illumination"
_MAX_MANIFEST_BYTES = 64 << 10
_MAX_LINE_DOTS = 32
"""TOML readers take time in the square of a dotted key's parts: a real manifest has three."""
_MAX_FACT = 4096
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@dataclass(frozen=True)
class CodecFacts:
    """What both ends must know of a codec's shape: the manifest's [codec] table."""

    latent_channels: int
    hyper_channels: int
    qualities: int
    stride: int
    pad_multiple: int


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose manifest has been read; files are verified when they are asked for.

    Attributes:
        path: its folder.
        name: the manifest's name.
        id: 8 bytes that stand for it on the wire and in files.
        codec: shapes both ends need.
        manifest: the whole parsed manifest.
        resampling: at which size frames are coded.
    """

    path: Path
    name: str
    id: bytes
    codec: CodecFacts
    manifest: dict[str, Any]
    resampling: Resampling = field(default_factory=Resampling)

    @property
    def hex(self) -> str:
        """Return the id as 16 hexadecimal digits."""
        return self.id.hex()

    @classmethod
    def load(cls, name_or_path: str | Path | None = None) -> Bundle:
        """Open a bundle by name or folder; None means the default bundle.

        Raises:
            BundleNotFound: no such folder in any of the places searched.
            BundleCorrupt: the manifest is missing, unreadable or of another format.
        """
        folder = find(name_or_path)
        file = folder / MANIFEST
        try:
            with file.open("rb") as opened:
                data = opened.read(_MAX_MANIFEST_BYTES + 1)
        except OSError as why:
            raise BundleCorrupt(file, why.strerror or str(why)) from why
        return cls.parse(data, folder)

    @classmethod
    def parse(cls, data: bytes, folder: Path) -> Bundle:
        """Read the bytes of a manifest that lies in `folder`; touches no file.

        Raises:
            BundleCorrupt: they are no manifest of a format this program reads.
        """
        file = folder / MANIFEST
        manifest = _toml(data, file)
        stated = manifest.get("format")
        if type(stated) is not int or not FORMAT <= stated <= IN_CONTEXT:
            # Never the value itself: a number of a hundred thousand digits cannot even be printed.
            shown = stated if type(stated) is int and abs(stated) < 1 << 32 else type(stated).__name__
            raise BundleCorrupt(file, f"format {shown}, this program reads {FORMAT} to {IN_CONTEXT}")
        if stated != stated_format(manifest):
            raise BundleCorrupt(
                file, f"format {stated}, and what it holds is of format {stated_format(manifest)}"
            )
        try:
            codec = CodecFacts(**{key: _fact(key, value) for key, value in manifest["codec"].items()})
            name = _text("name", manifest["name"])
            resampling = Resampling(manifest.get(RESAMPLING, ()), codec.qualities)
            for listed, entry in manifest["files"].items():
                if not _FILE_NAME.match(listed):
                    raise ValueError(f"{listed[:80]!r} is not the name of a file beside the manifest")
                _text("sha256", entry["sha256"])
        except (KeyError, TypeError, ValueError, AttributeError) as why:
            raise BundleCorrupt(file, f"{type(why).__name__}: {why}") from why
        return cls(folder, name, hashlib.sha256(data).digest()[:8], codec, manifest, resampling)

    def coded_view(self, quality: int, height: int, width: int) -> CodedView:
        """Return what is coded of a frame of `height` x `width` pixels at quality index `quality`."""
        return self.resampling.coded_view(quality, height, width)

    def file(self, name: str) -> Path:
        """Return the path of one of the bundle's files after checking its sha256.

        Raises:
            BundleCorrupt: the manifest does not list it, it cannot be read, or its hash differs.
        """
        entry = self.manifest["files"].get(name)
        path = self.path / name
        if entry is None:
            raise BundleCorrupt(path, "the manifest does not list this file")
        digest = hash_file(path)
        if digest != entry["sha256"]:
            raise BundleCorrupt(
                path, f"sha256 {digest[:16]}… differs from the manifest's {entry['sha256'][:16]}…"
            )
        return path


def stated_format(tables: Mapping[str, Any]) -> int:
    """Return the format that a manifest with these tables states."""
    sizes = tables.get(RESAMPLING)
    for key, stated in ((CONTEXTS, IN_CONTEXT), (WAVES, COUNTED)):
        if isinstance(sizes, list) and any(isinstance(table, dict) and key in table for table in sizes):
            return stated
    if ILLUMINATION in tables:
        return ILLUMINATED
    return RESAMPLED if sizes else FORMAT


def _toml(data: bytes, file: Path) -> dict[str, Any]:
    """Return what the bytes of a manifest say, in bounded time."""
    if len(data) > _MAX_MANIFEST_BYTES:
        raise BundleCorrupt(file, f"larger than {_MAX_MANIFEST_BYTES} bytes")
    if any(line.count(b".") > _MAX_LINE_DOTS for line in data.splitlines()):
        raise BundleCorrupt(file, f"a line with more than {_MAX_LINE_DOTS} dots")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as why:  # not UTF-8, not TOML, too many digits, nested too deeply
        raise BundleCorrupt(file, f"{type(why).__name__}: {why}") from why


def _fact(key: str, value: object) -> int:
    if type(value) is not int or not 1 <= value <= _MAX_FACT:
        raise ValueError(f"{key} is not a whole number from 1 to {_MAX_FACT}")
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{key} must be text")
    return value


def hash_file(path: Path) -> str:
    """Return a file's sha256 in hexadecimal.

    Raises:
        BundleCorrupt: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as why:
        raise BundleCorrupt(path, why.strerror or str(why)) from why
    return digest.hexdigest()


def search_path() -> list[Path]:
    """Return the folders in which bundles are looked up by name, first one first."""
    home = os.environ.get("MDIC_HOME")
    own = Path(__file__).resolve().parent.parent / "cloud" / "bundles"
    return ([Path(home) / "bundles"] if home else []) + [own]


def find(name_or_path: str | Path | None) -> Path:
    """Return a bundle's folder: a path that holds a manifest, else a name in `search_path`.

    Raises:
        BundleNotFound: neither exists.
    """
    wanted = str(name_or_path) if name_or_path is not None else DEFAULT_BUNDLE
    direct = Path(wanted)
    if name_or_path is not None and (direct / MANIFEST).is_file():
        return direct
    searched = search_path()
    if os.sep not in wanted and wanted not in {"", ".", ".."}:
        for folder in searched:
            if (folder / wanted / MANIFEST).is_file():
                return folder / wanted
    raise BundleNotFound(wanted, [str(folder) for folder in searched])
