"""Files with secrets: each fault has its line, none shows the secret, and what we write is private."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common import secretfile
from common.errors import CredentialsError
from common.secretfile import MAX_BYTES, read_file, read_token, replace, write_new


def private(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = os.umask(0)
    try:
        write_new(path, b"secret")
    finally:
        os.umask(old)
    assert read_file(path, "key", secret=True) == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CredentialsError, match="not overwritten"):
        write_new(path, b"other")
    assert path.read_bytes() == b"secret"


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "key").symlink_to(target)
    with pytest.raises(CredentialsError, match="not overwritten"):
        write_new(tmp_path / "key", b"secret")
    assert not target.exists()


def test_replacing_keeps_mode_and_leaves_no_draft(tmp_path: Path) -> None:
    path = private(tmp_path / "tokens.json", b"old")
    path.chmod(0o640)
    replace(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o640
    replace(tmp_path / "fresh", b"new")
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fresh", "tokens.json"]


def test_a_failed_replacement_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = private(tmp_path / "tokens.json", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secretfile.os, "replace", full)
    with pytest.raises(CredentialsError, match="No space left"):
        replace(path, b"new")
    assert path.read_bytes() == b"old"


def test_each_fault_has_its_line(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "is not a file"),
        (private(tmp_path / "empty", b" \n"), "is empty"),
        (private(tmp_path / "huge", bytes(MAX_BYTES + 1)), "larger than 256 KiB"),
    ):
        with pytest.raises(CredentialsError, match=words) as caught:
            read_file(path, "token")
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o640, True), (0o644, False), (0o602, False)])
def test_secrets_are_not_for_everybody(mode: int, fine: bool, tmp_path: Path) -> None:
    path = private(tmp_path / "key", b"secret")
    path.chmod(mode)
    assert read_file(path, "key") == b"secret"
    if fine:
        assert read_file(path, "key", secret=True) == b"secret"
    else:
        with pytest.raises(CredentialsError, match="chmod"):
            read_file(path, "key", secret=True)


def test_tokens(tmp_path: Path) -> None:
    assert read_token(private(tmp_path / "good", b"abc.def-_.123\n")) == "abc.def-_.123"
    for number, text in enumerate((b"abc", b"a.b.c d", b"a.b.c\nd.e.f", b"a.b.\xff", b"a.b.\x01")):
        path = private(tmp_path / f"bad{number}", text)
        with pytest.raises(CredentialsError, match="holds no token") as caught:
            read_token(path)
        assert text.decode("latin-1") not in str(caught.value)
