"""Every error the programs report, in one tree, each with the exit code it ends a command with.

    MdicError                     1
    ├── UsageError                2   the command line asks for something that makes no sense
    ├── InputError               10   what we were given to encode
    │   ├── ImageUnreadable      11
    │   ├── FrameSizeError       12
    │   ├── DatasetError         13
    │   └── PairMissing          14
    ├── BitstreamError           20   what we were given to decode (proto/BITSTREAM.md, section 9)
    │   ├── Truncated            21
    │   ├── Oversize             22
    │   ├── BadMagic             23
    │   ├── ChecksumMismatch     24
    │   ├── UnknownVersion       25
    │   ├── ForeignBundle        26
    │   ├── CorruptPayload       27
    │   ├── UnknownSection       28
    │   └── FieldOutOfRange      29
    ├── BundleError              30   the model on disk
    │   ├── BundleNotFound       31
    │   └── BundleCorrupt        32
    ├── StreamError              40   the connection between edge and cloud, and the cameras that feed it
    │   ├── CloudUnreachable     41
    │   ├── PortInUse            42
    │   ├── ProtocolViolation    43
    │   ├── PeerRejected         44
    │   ├── CameraError          45
    │   ├── CameraEnded          46
    │   ├── CredentialsError     47
    │   └── SpoolError           48
    └── MissingDependency        50   an optional extra is not installed

Classes take the offending values, keep them as attributes and write the message themselves. A message is one
printable line whatever the values hold, since some of them come from a peer. Exit codes outside the tree:
70 for a defect of ours (an exception that is not an MdicError), 130 for an interrupt (see `common/cli.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any, ClassVar

MAX_MESSAGE_CHARS = 600


def _one_line(text: str) -> str:
    """Return `text` as one printable line of bounded length."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_MESSAGE_CHARS]).split())
    return clean if len(clean) <= MAX_MESSAGE_CHARS else clean[: MAX_MESSAGE_CHARS - 1] + "…"


def _restore(cls: type[MdicError], message: str, state: dict[str, Any]) -> MdicError:
    """Rebuild an error that crossed a process boundary (the subclasses' arguments are not its `args`)."""
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class MdicError(Exception):
    """Base of every error that a user can cause and should read; `str()` is one line."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message))

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error travel between processes although subclasses take other arguments."""
        return (_restore, (type(self), str(self), dict(self.__dict__)))


class UsageError(MdicError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


# --- what we were given to encode ---------------------------------------------------------------------------


class InputError(MdicError):
    """Base: an image, a folder or a pair cannot be used."""

    exit_code = 10


class ImageUnreadable(InputError):
    """A file that should be an image does not decode."""

    exit_code = 11

    def __init__(self, path: str | PathLike[str], why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"cannot read image {self.path}: {why}")


class FrameSizeError(InputError):
    """A frame's height or width is outside what the codec takes (64 to 4096 each)."""

    exit_code = 12

    def __init__(self, height: int, width: int, why: str = "each side must be 64 to 4096 pixels") -> None:
        self.height, self.width, self.why = height, width, why
        super().__init__(f"frame of {height}x{width} (height x width) cannot be coded: {why}")


class DatasetError(InputError):
    """A folder does not hold a dataset we know, or holds a damaged one."""

    exit_code = 13

    def __init__(self, path: str | PathLike[str], why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"dataset {self.path}: {why}")


class PairMissing(InputError):
    """One view of a stereo pair is there and the other is not."""

    exit_code = 14

    def __init__(self, path: str | PathLike[str], why: str = "left without right") -> None:
        self.path, self.why = str(path), why
        super().__init__(f"incomplete stereo pair at {self.path}: {why}")


# --- what we were given to decode ---------------------------------------------------------------------------


class BitstreamError(MdicError):
    """Base: bytes that are not a packet or container we can decode."""

    exit_code = 20


class Truncated(BitstreamError):
    """The bytes end before the structure they announce does."""

    exit_code = 21

    def __init__(self, need: int, have: int) -> None:
        self.need, self.have = need, have
        super().__init__(f"bitstream truncated: need {need} bytes, have {have}")


class Oversize(BitstreamError):
    """A packet, section or announced length is larger than its limit, or larger than announced."""

    exit_code = 22

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(f"bitstream of {size} bytes exceeds the limit of {limit}")


class BadMagic(BitstreamError):
    """A file does not start with the magic of a container."""

    exit_code = 23

    def __init__(self, got: bytes) -> None:
        self.got = bytes(got[:16])
        super().__init__(f"not an .mdic file: starts with {self.got!r} instead of b'MDIC'")


class ChecksumMismatch(BitstreamError):
    """A checksum does not match: the bytes, the bundle id or the frame size differ from the encoder's."""

    exit_code = 24

    def __init__(self, got: int, want: int) -> None:
        self.got, self.want = got, want
        super().__init__(f"checksum mismatch: bitstream says 0x{got:04x}, its content gives 0x{want:04x}")


class UnknownVersion(BitstreamError):
    """The bytes follow a version of the format that this program does not know."""

    exit_code = 25

    def __init__(self, got: int, known: int | Iterable[int]) -> None:
        self.got = got
        self.known = (known,) if isinstance(known, int) else tuple(known)
        super().__init__(f"unknown bitstream version {got} (known: {', '.join(map(str, self.known))})")


class ForeignBundle(BitstreamError):
    """The bytes were made with another model bundle than the one loaded."""

    exit_code = 26

    def __init__(self, got_hex: str, want_hex: str) -> None:
        self.got_hex, self.want_hex = got_hex, want_hex
        super().__init__(f"bitstream was made with bundle {got_hex}, but bundle {want_hex} is loaded")


class CorruptPayload(BitstreamError):
    """The checksum is right but the content breaks the format's rules."""

    exit_code = 27

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"corrupt payload: {why}")


class UnknownSection(BitstreamError):
    """An extension section that a decoder must understand (type 128 or above) is unknown."""

    exit_code = 28

    def __init__(self, section_type: int) -> None:
        self.section_type = section_type
        super().__init__(f"unknown mandatory section type {section_type} (128 and above must be understood)")


class FieldOutOfRange(BitstreamError):
    """A header field holds a value the format does not allow."""

    exit_code = 29

    def __init__(self, field: str, value: int, allowed: str) -> None:
        self.field, self.value, self.allowed = field, value, allowed
        super().__init__(f"bitstream field {field} is {value} (allowed: {allowed})")


# --- the model on disk --------------------------------------------------------------------------------------


class BundleError(MdicError):
    """Base: the model bundle cannot be used."""

    exit_code = 30


class BundleNotFound(BundleError):
    """No bundle of that name or path."""

    exit_code = 31

    def __init__(self, name: str | PathLike[str], searched: Iterable[str | PathLike[str]] = ()) -> None:
        self.name, self.searched = str(name), tuple(str(place) for place in searched)
        places = f" (searched {', '.join(self.searched)})" if self.searched else ""
        super().__init__(f"bundle {self.name!r} not found{places}")


class BundleCorrupt(BundleError):
    """A file of the bundle is missing, changed or malformed."""

    exit_code = 32

    def __init__(self, file: str | PathLike[str], why: str) -> None:
        self.file, self.why = str(file), why
        super().__init__(f"bundle file {self.file}: {why}")


# --- the connection and the cameras -------------------------------------------------------------------------


class StreamError(MdicError):
    """Base: the stream between edge and cloud cannot go on."""

    exit_code = 40


class CloudUnreachable(StreamError):
    """No cloud answers at the address, or it went away."""

    exit_code = 41

    def __init__(self, address: str, why: str) -> None:
        self.address, self.why = address, why
        super().__init__(f"cloud at {address} cannot be reached: {why}")


class PortInUse(StreamError):
    """The address to listen on is taken."""

    exit_code = 42

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: the port is in use or not ours to bind")


class ProtocolViolation(StreamError):
    """The peer sent a message that the session's state does not allow."""

    exit_code = 43

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"protocol violation: {why}")


class PeerRejected(StreamError):
    """The peer refused the session or a message, and said why."""

    exit_code = 44

    def __init__(self, code: int | str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(f"the other side refused (code {code}): {message}")


class CameraError(StreamError):
    """A camera cannot be opened or read."""

    exit_code = 45

    def __init__(self, spec: str, why: str) -> None:
        self.spec, self.why = spec, why
        super().__init__(f"camera {spec}: {why}")


class CameraEnded(StreamError):
    """A camera that should go on stopped delivering frames."""

    exit_code = 46

    def __init__(self, spec: str, why: str) -> None:
        self.spec, self.why = spec, why
        super().__init__(f"camera {spec} ended: {why}")


class CredentialsError(StreamError):
    """A certificate, key or token cannot be used; the message never holds what is in the file."""

    exit_code = 47

    def __init__(self, path: str | PathLike[str], why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"{self.path}: {why}")


class SpoolError(StreamError):
    """The spool, where frames wait for the cloud on disk, cannot be used; it is left as it is."""

    exit_code = 48

    def __init__(self, path: str | PathLike[str], why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"spool {self.path}: {why}")


class MissingDependency(MdicError):
    """An optional package is needed for this command and is not installed."""

    exit_code = 50

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is not installed: pip install '.[{extra}]' in the checkout")
