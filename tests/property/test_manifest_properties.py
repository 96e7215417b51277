"""What no manifest can make `Bundle.load` do."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from common.bundle import Bundle
from common.errors import BundleCorrupt

FOLDER = Path("bundle")
GOOD = """format = 1
name = "tiny"
[codec]
latent_channels = 4
hyper_channels = 2
qualities = 8
stride = 16
pad_multiple = 64
[files."a.bin"]
sha256 = "00"
"""
VALUES = st.sampled_from(
    ["1", "-1", "0x" + "f" * 5000, "9" * 5000, "inf", "nan", "1e999", "true", '"x"', "''", "[]", "{}", "[[[]]]",
     "{a = {b = 1}}", "1979-05-27", "07:32:00", '"""a\nb"""', '"\\u0007"', "[" * 2000, ""]
)  # fmt: skip


def read(data: bytes) -> None:
    """Read a manifest; only the documented error may come out."""
    try:
        bundle = Bundle.parse(data, FOLDER)
    except BundleCorrupt as error:
        assert str(error).isprintable()
        return
    assert len(bundle.id) == 8 and isinstance(bundle.name, str)
    assert all((FOLDER / name).parent == FOLDER for name in bundle.manifest["files"])


@given(st.binary(max_size=500))
def test_any_bytes_are_a_manifest_or_corrupt(data: bytes) -> None:
    read(data)
    read(GOOD.encode() + data)


@given(st.integers(0, 9), VALUES)
def test_any_value_in_any_place_is_accepted_or_corrupt(line: int, value: str) -> None:
    lines = GOOD.splitlines()
    lines[line] = f"{lines[line].partition('=')[0]}= {value}"
    read("\n".join(lines).encode())


@given(st.text(max_size=40))
def test_any_file_name_stays_in_the_folder(name: str) -> None:
    quoted = "".join(f"\\U{ord(c):08x}" if not 0xD800 <= ord(c) < 0xE000 else "x" for c in name)
    read(GOOD.replace("a.bin", quoted).encode())


def test_the_good_one_is_good() -> None:
    assert Bundle.parse(GOOD.encode(), FOLDER).codec.qualities == 8
