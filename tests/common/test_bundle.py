"""common.bundle: what opens, what is refused, and what the id covers."""

import hashlib
import time
from pathlib import Path

import pytest

from common.bundle import Bundle, find, stated_format
from common.errors import BundleCorrupt, BundleNotFound

MANIFEST = """format = 1
name = "tiny"
[codec]
latent_channels = 4
hyper_channels = 2
qualities = 8
stride = 16
pad_multiple = 64
[files."a.bin"]
sha256 = "{digest}"
bytes = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    path.mkdir()
    (path / "a.bin").write_bytes(b"abc")
    (path / "manifest.toml").write_text(MANIFEST.format(digest=hashlib.sha256(b"abc").hexdigest()))
    return path


def test_opens_by_path_and_verifies_files(folder):
    bundle = Bundle.load(folder)
    assert bundle.name == "tiny" and bundle.codec.latent_channels == 4
    assert bundle.id == hashlib.sha256((folder / "manifest.toml").read_bytes()).digest()[:8]
    assert bundle.file("a.bin") == folder / "a.bin"


def test_a_changed_file_is_refused(folder):
    (folder / "a.bin").write_bytes(b"abd")
    with pytest.raises(BundleCorrupt, match=r"a\.bin.*sha256"):
        Bundle.load(folder).file("a.bin")


def test_a_file_the_manifest_does_not_list_is_refused(folder):
    with pytest.raises(BundleCorrupt, match="does not list"):
        Bundle.load(folder).file("manifest.toml")


def test_the_id_changes_with_any_file(folder):
    before = Bundle.load(folder).id
    text = (folder / "manifest.toml").read_text()
    (folder / "manifest.toml").write_text(text.replace(text.split('sha256 = "')[1][:8], "00000000"))
    assert Bundle.load(folder).id != before


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: "not toml [", "manifest.toml"),
        (lambda t: t.replace("format = 1", "format = 9"), "format 9"),
        (lambda t: t.replace("qualities = 8", 'qualities = "many"'), "ValueError"),
        (lambda t: t.replace("stride = 16\n", ""), "stride"),
        (lambda t: t.replace("[codec]", "[kodec]"), "codec"),
        (lambda t: t.replace("format = 1", "format = " + "9" * 5000), "digits"),
        (lambda t: t.replace("format = 1", "format = 0x" + "f" * 5000), "format int"),
        (lambda t: t.replace("qualities = 8", "qualities = inf"), "qualities is not a whole number"),
        (lambda t: t.replace("qualities = 8", "qualities = 0"), "1 to 4096"),
        (lambda t: t.replace('name = "tiny"', "name = {a = 1}"), "name must be text"),
        (lambda t: t.replace('"a.bin"', '"../a.bin"'), "not the name of a file"),
        (lambda t: t.replace("stride = 16", "stride = " + "[" * 5000), "RecursionError"),
        (lambda t: t + "#" * (64 << 10), "larger than"),
    ],
)
def test_a_broken_manifest_is_one_clear_error(folder, change, why):
    file = folder / "manifest.toml"
    file.write_text(change(file.read_text()))
    with pytest.raises(BundleCorrupt, match=why):
        Bundle.load(folder)


LIT = "[illumination]\npairs = 3\n"
RESAMPLED = f"[[resampling]]\npixels = 4096\nscale = {[2] * 8}\nquality = {list(range(8))}\n"
COUNTED = RESAMPLED + f"waves = {[1] * 8}\n"
IN_CONTEXT = RESAMPLED + f"contexts = {[0] * 8}\n"


@pytest.mark.parametrize(
    ("tables", "needed"),
    [
        ("", 1),
        (RESAMPLED, 2),
        (LIT, 3),
        (LIT + RESAMPLED, 3),
        (RESAMPLED + LIT, 3),
        (LIT + COUNTED, 4),
        (COUNTED + RESAMPLED.replace("4096", "8192") + LIT, 4),
        (IN_CONTEXT, 5),
        (COUNTED + IN_CONTEXT.replace("4096", "8192") + LIT, 5),
    ],
)
def test_the_format_follows_from_the_tables(tmp_path, tables, needed):
    for stated in range(7):
        text = (MANIFEST.replace("format = 1", f"format = {stated}") + tables).encode()
        if stated == needed:
            bundle = Bundle.parse(text, tmp_path)
            assert stated_format(bundle.manifest) == bundle.manifest["format"] == needed
            assert ("illumination" in bundle.manifest, "resampling" in bundle.manifest) == (
                LIT in tables,
                RESAMPLED in tables,
            )
            continue
        known = stated in (1, 2, 3, 4, 5)
        why = f"format {stated}, " + (f"and what it holds is of format {needed}" if known else "this program")
        with pytest.raises(BundleCorrupt, match=why):
            Bundle.parse(text, tmp_path)


@pytest.mark.parametrize("stated", ["3.0", "true", '"3"', "[3]"])
def test_a_format_is_a_whole_number(tmp_path, stated):
    text = MANIFEST.replace("format = 1", f"format = {stated}") + LIT
    with pytest.raises(BundleCorrupt, match="this program reads 1 to 5"):
        Bundle.parse(text.encode(), tmp_path)


def test_a_manifest_that_would_take_minutes_to_read_is_refused_at_once(folder):
    header = "[" + ".".join("a" * 8000) + "]\n"
    began = time.process_time()
    with pytest.raises(BundleCorrupt, match="dots"):
        Bundle.parse((header + "".join(f"k{i}=1\n" for i in range(6000))).encode(), folder)
    deepest = "[" + ".".join("a" * 33) + "]\n" + "".join(f"{i:x}=1\n" for i in range(9000))
    with pytest.raises(BundleCorrupt, match="format"):
        Bundle.parse(deepest.encode(), folder)
    assert time.process_time() - began < 1


def test_unknown_names_say_where_was_searched(monkeypatch, tmp_path):
    monkeypatch.setenv("MDIC_HOME", str(tmp_path))
    with pytest.raises(BundleNotFound, match=r"nobody.*" + str(tmp_path / "bundles")):
        find("nobody")
    for tricky in ("", "..", "../cloud", "/nowhere"):
        with pytest.raises(BundleNotFound):
            find(tricky)


def test_home_comes_before_the_bundled_ones(folder, monkeypatch):
    home = folder.parent / "home"
    (home / "bundles").mkdir(parents=True)
    folder.rename(home / "bundles" / "compact")
    monkeypatch.setenv("MDIC_HOME", str(home))
    assert Bundle.load().name == "tiny"


def test_the_default_bundle_is_in_the_distribution():
    bundle = Bundle.load()
    assert bundle.name == "compact"
    for name in bundle.manifest["files"]:
        bundle.file(name)
