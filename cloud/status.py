"""The one map from our errors to gRPC status codes (proto/TRANSPORT.md, section 8).

What is not in our tree becomes INTERNAL without detail. The few errors that only a server can have are here
too; they borrow exit codes, since a peer sees them as `Fault.code`.
"""

from __future__ import annotations

import grpc

from common.errors import (
    BitstreamError,
    BundleError,
    CloudUnreachable,
    CredentialsError,
    DatasetError,
    ForeignBundle,
    ImageUnreadable,
    InputError,
    MdicError,
    MissingDependency,
    Oversize,
    PairMissing,
    PeerRejected,
    ProtocolViolation,
    StreamError,
    UnknownVersion,
    UsageError,
)
from common.stream.messages import Fault

INTERNAL_FAULT_CODE = 70
"""As the exit code of a defect of ours (`common/cli.py`)."""


class VehicleBusy(StreamError):
    """Another connection already carries this view of the vehicle."""

    exit_code = PeerRejected.exit_code

    def __init__(self, vehicle: str, view: str) -> None:
        self.vehicle, self.view = vehicle, view
        super().__init__(f"another connection already streams the {view} view of vehicle {vehicle!r}")


class CloudFull(StreamError):
    """The server holds as many sessions as it may."""

    def __init__(self, sessions: int) -> None:
        self.sessions = sessions
        super().__init__(f"this cloud already serves {sessions} vehicles")


class CloudClosing(StreamError):
    """The server is shutting down."""

    exit_code = CloudUnreachable.exit_code

    def __init__(self) -> None:
        super().__init__("this cloud is shutting down")


class Superseded(StreamError):
    """A newer connection of the same stream took this one's place."""

    exit_code = PeerRejected.exit_code

    def __init__(self) -> None:
        super().__init__("a newer connection of this stream took its place")


class NothingDurable(StreamError):
    """A durable stream was asked for where nothing is kept for good."""

    exit_code = PeerRejected.exit_code

    def __init__(self) -> None:
        super().__init__("this cloud keeps no durable streams: it runs without an images sink")


class SinkUnready(StreamError):
    """The recording of a vehicle cannot be opened at present."""

    exit_code = CloudUnreachable.exit_code

    def __init__(self, error: OSError) -> None:
        # The path is ours; the peer learns what the matter is.
        super().__init__(
            f"this cloud cannot open the recording now: {error.strerror or 'input or output error'}"
        )


class HelloTimeout(ProtocolViolation):
    """A connection was opened and nothing came."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"no hello within {timeout_s:g} s")


class Unauthenticated(StreamError):
    """The caller did not show who it is; the reason is one of a few fixed sentences."""

    exit_code = PeerRejected.exit_code


class Forbidden(StreamError):
    """The caller is known and may not do this."""

    exit_code = PeerRejected.exit_code


class QuotaExceeded(StreamError):
    """A vehicle asks for more than it was granted."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"quota exceeded: {what}")


class SilentPeer(ProtocolViolation):
    """A connection is open and nothing comes."""

    exit_code = CloudUnreachable.exit_code  # an edge that was stopped for a while may come back at once

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"nothing came for {timeout_s:g} s")


_TABLE: tuple[tuple[type[MdicError], grpc.StatusCode], ...] = (
    # Subclasses before their bases: the first match counts.
    (VehicleBusy, grpc.StatusCode.ALREADY_EXISTS),
    (CloudFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (CloudClosing, grpc.StatusCode.UNAVAILABLE),
    (Superseded, grpc.StatusCode.ABORTED),
    (NothingDurable, grpc.StatusCode.FAILED_PRECONDITION),
    (SinkUnready, grpc.StatusCode.UNAVAILABLE),
    (HelloTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (SilentPeer, grpc.StatusCode.DEADLINE_EXCEEDED),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (QuotaExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ProtocolViolation, grpc.StatusCode.INVALID_ARGUMENT),
    (ForeignBundle, grpc.StatusCode.FAILED_PRECONDITION),
    (UnknownVersion, grpc.StatusCode.FAILED_PRECONDITION),
    (Oversize, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (BitstreamError, grpc.StatusCode.INVALID_ARGUMENT),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT),
    (UsageError, grpc.StatusCode.INVALID_ARGUMENT),
    (BundleError, grpc.StatusCode.FAILED_PRECONDITION),
    (MissingDependency, grpc.StatusCode.UNIMPLEMENTED),
    (StreamError, grpc.StatusCode.UNAVAILABLE),
)


_NAME_OUR_FILES = (BundleError, CredentialsError, DatasetError, ImageUnreadable, PairMissing, UsageError)
"""Errors whose messages hold paths or options of this machine, which are no peer's business."""


def told(error: BaseException) -> str:
    """Return what a peer may hear about `error`: its message, its class in one sentence, or nothing of it."""
    if isinstance(error, _NAME_OUR_FILES):
        sentence = (type(error).__doc__ or "").partition("\n")[0].removeprefix("Base: ")
        return f"{type(error).__name__}: {sentence}"
    return str(error) if isinstance(error, MdicError) else "internal error"


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str]:
    """Return the gRPC status and the detail that a peer may see for `error`."""
    for kind, code in _TABLE:
        if isinstance(error, kind):
            return code, told(error)
    return grpc.StatusCode.INTERNAL, "internal error"


def fault_of(error: BaseException) -> Fault:
    """Return the last message of a connection that ends with `error`."""
    code, detail = status_of(error)
    if code is grpc.StatusCode.INTERNAL:
        return Fault(INTERNAL_FAULT_CODE, detail)
    return Fault(getattr(error, "exit_code", INTERNAL_FAULT_CODE), detail)
