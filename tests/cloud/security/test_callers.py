"""What a caller may do, from its token and its certificate."""

from __future__ import annotations

import contextlib

import pytest
from fake_edge import hello

from cloud.security.callers import ANYBODY, Caller, current_caller, names_in_certificate, roles_of
from cloud.security.tokens import Claims
from cloud.status import Forbidden
from common.stream.messages import Role


def claims(vehicle: str, *roles: str) -> Claims:
    return Claims(vehicle, "1", 0.0, 1.0, frozenset(roles))


@pytest.mark.parametrize(
    ("caller", "role", "words"),
    [
        (ANYBODY, Role.BOTH, None),
        (Caller(claims("car-1", "main", "side")), Role.BOTH, None),
        (Caller(claims("car-2", "main", "side")), Role.BOTH, "token is not one of vehicle 'car-1'"),
        (Caller(claims("car-1", "main")), Role.BOTH, "side view"),
        (Caller(claims("car-1", "side")), Role.MAIN, "main view"),
        (Caller(claims("car-1", "side")), Role.SIDE, None),
        (Caller(names=frozenset({"car-1"})), Role.BOTH, None),
        (Caller(names=frozenset({"car-11", "Car-1"})), Role.BOTH, "certificate"),
        (Caller(names=frozenset()), Role.BOTH, "certificate"),
        (Caller(claims("car-1", "main", "side"), frozenset({"car-2"})), Role.BOTH, "certificate"),
    ],
)
def test_authorise(caller: Caller, role: Role, words: str | None) -> None:
    with contextlib.nullcontext() if words is None else pytest.raises(Forbidden, match=words):
        caller.authorise(hello(role))


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        ({}, set()),
        ({"x509_common_name": [b"car-1"]}, {"car-1"}),
        ({"x509_common_name": [b"car-1"], "peer_dns": [b"car-2"]}, {"car-1", "car-2"}),
        ({"x509_common_name": [b"fleet"], "peer_uri": [b"urn:mdic:vehicle:car-1"]}, {"car-1"}),
        ({"x509_common_name": [b"car-1"], "peer_uri": [b"https://x"]}, {"car-1"}),
        ({"x509_common_name": [b"\xff\xfe"], "peer_uri": [b"urn:mdic:vehicle:"]}, set()),
        ({"x509_subject_alternative_name": [b"car-1"], "transport_security_type": [b"ssl"]}, set()),
    ],
)
def test_names_in_a_certificate(properties, names) -> None:
    assert names_in_certificate(properties) == names


def test_outside_of_a_guarded_call_it_is_anybody() -> None:
    assert current_caller() is ANYBODY


def test_roles() -> None:
    assert roles_of("main,probe") == {"main", "probe"}
    for text in ("", "root", "main,", "main side"):
        with pytest.raises(ValueError, match="main, probe, side"):
            roles_of(text)
