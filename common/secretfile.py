"""Reading of small files that must stay private: keys and tokens. What is in them never gets into a message."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from common.errors import CredentialsError

MAX_BYTES = 256 << 10
"""Certificates, keys and tokens are kilobytes; a bundle of every public CA is about 220."""


def read_file(path: Path, what: str, *, secret: bool = False) -> bytes:
    """Return the bytes of a credential's file, at most 256 KiB.

    Args:
        path: where it is.
        what: what it should be, for the message ("token", "private key").
        secret: refuse it when every user of the machine may read or change it.

    Raises:
        CredentialsError: it is not there, empty, too large, or not private although it has to be.
    """
    try:
        if path.exists() and not path.is_file():
            raise CredentialsError(path, f"the {what} is not a file")
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if secret and os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH):
                raise CredentialsError(
                    path, f"the {what} is open to every user of this machine (chmod o-rwx mends that)"
                )
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CredentialsError(path, f"the {what} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise CredentialsError(path, f"the {what} is larger than {MAX_BYTES >> 10} KiB")
    if not data.strip():
        raise CredentialsError(path, f"the {what} is empty")
    return data


def read_token(path: Path) -> str:
    """Return the signed token in a file: one word of printable ASCII.

    Raises:
        CredentialsError: the file cannot be used, or holds something else.
    """
    words = read_file(path, "token", secret=True).split()
    try:
        token = words[0].decode("ascii")
    except UnicodeDecodeError:
        token = ""
    # Three parts of base64url (RFC 7515); whether the signature is right is for the cloud to say.
    if len(words) != 1 or token.count(".") != 2 or not token.replace(".", "").isprintable():
        raise CredentialsError(path, "holds no token (three parts joined by dots, on one line)")
    return token


def write_new(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read; never over one that is there.

    Raises:
        CredentialsError: it is there already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise CredentialsError(path, "is there already and is not overwritten") from None
    except OSError as error:
        raise CredentialsError(path, f"cannot be written: {error.strerror}") from None


def replace(path: Path, data: bytes) -> None:
    """Put a private file in the place of another in one step: a reader sees the old one or the new one.

    Mode and, where we may set it, owner stay as they were: a server of another user must still be able to read it.

    Raises:
        CredentialsError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        write_new(draft, data)
        if path.exists():
            old = path.stat()
            with contextlib.suppress(PermissionError):
                os.chown(draft, old.st_uid, old.st_gid)
            draft.chmod(stat.S_IMODE(old.st_mode))
        os.replace(draft, path)
    except OSError as error:
        raise CredentialsError(path, f"cannot be written: {error.strerror}") from None
