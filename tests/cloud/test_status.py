"""Every error has one gRPC status; a defect tells nothing."""

from __future__ import annotations

import grpc
import pytest

from cloud.status import (
    CloudClosing,
    CloudFull,
    Forbidden,
    HelloTimeout,
    QuotaExceeded,
    SilentPeer,
    Unauthenticated,
    VehicleBusy,
    fault_of,
    status_of,
)
from common import errors

CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "status", "fault"),
    [
        (errors.ProtocolViolation("x"), CODE.INVALID_ARGUMENT, 43),
        (HelloTimeout(10), CODE.DEADLINE_EXCEEDED, 43),
        (VehicleBusy("car", "main"), CODE.ALREADY_EXISTS, 44),
        (CloudFull(3), CODE.RESOURCE_EXHAUSTED, 40),
        (CloudClosing(), CODE.UNAVAILABLE, 41),
        (SilentPeer(30), CODE.DEADLINE_EXCEEDED, 41),
        (Unauthenticated("the token has expired"), CODE.UNAUTHENTICATED, 44),
        (Forbidden("x"), CODE.PERMISSION_DENIED, 44),
        (QuotaExceeded("5 frames a second"), CODE.RESOURCE_EXHAUSTED, 40),
        (errors.ForeignBundle("aa", "bb"), CODE.FAILED_PRECONDITION, 26),
        (errors.UnknownVersion(9, 1), CODE.FAILED_PRECONDITION, 25),
        (errors.Oversize(9, 1), CODE.RESOURCE_EXHAUSTED, 22),
        (errors.CorruptPayload("x"), CODE.INVALID_ARGUMENT, 27),
        (errors.FrameSizeError(1, 2), CODE.INVALID_ARGUMENT, 12),
        (errors.MissingDependency("av", "cloud"), CODE.UNIMPLEMENTED, 50),
    ],
)
def test_status_and_fault_of_known_errors(
    error: errors.MdicError, status: grpc.StatusCode, fault: int
) -> None:
    assert status_of(error) == (status, str(error))
    said = fault_of(error)
    assert (said.code, said.message) == (fault, str(error))


@pytest.mark.parametrize(
    ("error", "status", "fault"),
    [
        (errors.BundleCorrupt("/srv/secret", "x"), CODE.FAILED_PRECONDITION, 32),
        (errors.CredentialsError("/srv/secret", "x"), CODE.UNAVAILABLE, 47),
        (errors.DatasetError("/srv/secret", "x"), CODE.INVALID_ARGUMENT, 13),
        (errors.UsageError("sink '/srv/secret' cannot be written to"), CODE.INVALID_ARGUMENT, 2),
    ],
)
def test_names_of_our_files_stay_inside(error: errors.MdicError, status: grpc.StatusCode, fault: int) -> None:
    code, detail = status_of(error)
    assert code is status and detail.startswith(f"{type(error).__name__}: ") and detail.endswith(".")
    assert "/srv" not in detail and fault_of(error).message == detail and fault_of(error).code == fault


@pytest.mark.parametrize("error", [ZeroDivisionError("secret path /home"), errors.MdicError("unclassified")])
def test_anything_else_is_internal_without_detail(error: Exception) -> None:
    assert status_of(error) == (CODE.INTERNAL, "internal error")
    assert fault_of(error).message == "internal error" and fault_of(error).code == 70


def test_every_class_of_the_tree_is_mapped() -> None:
    def below(kind: type[errors.MdicError]) -> set[type[errors.MdicError]]:
        return {kind}.union(*(below(k) for k in kind.__subclasses__()))

    unmapped = []
    for kind in below(errors.MdicError) - {errors.MdicError}:
        if kind.__module__ != errors.__name__:
            continue  # benchmarks add one of their own, which never meets a peer
        bare = kind.__new__(kind)
        Exception.__init__(bare, "x")
        if status_of(bare)[0] is CODE.INTERNAL:
            unmapped.append(kind.__name__)
    assert unmapped == []
