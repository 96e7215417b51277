"""Who is behind a call, and what that lets them do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from cloud.security.quotas import VehicleMeter
from cloud.security.tokens import ROLES, Claims
from cloud.status import Forbidden, QuotaExceeded
from common.stream.messages import Hello, Mode

VEHICLE_URN = "urn:mdic:vehicle:"
"""A certificate names its vehicle by this URI among its alternative names, or by its common name."""


@dataclass(frozen=True, eq=False)
class Caller:
    """Hold what is known about the other end of a call.

    Attributes:
        claims: of its token; None when the server asks for none.
        names: that its certificate gives it; None when the server asks for none.
        meter: of its vehicle; None without quotas.
    """

    claims: Claims | None = None
    names: frozenset[str] | None = None
    meter: VehicleMeter | None = None

    def authorise(self, hello: Hello) -> None:
        """Check that this caller may open the connection that `hello` asks for.

        Raises:
            Forbidden: it is another vehicle's, or of a role it does not have.
        """
        if self.names is not None and hello.vehicle not in self.names:
            raise Forbidden(f"the certificate does not name vehicle {hello.vehicle!r}")
        if self.claims is None:
            return
        if self.claims.vehicle != hello.vehicle:
            raise Forbidden(f"the token is not one of vehicle {hello.vehicle!r}")
        for role, wanted in (("main", hello.role.has_main), ("side", hello.role.has_side)):
            if wanted and role not in self.claims.roles:
                raise Forbidden(f"the token is not good for the {role} view")

    async def pay(self, message: Any, hello: Hello) -> None:
        """Count one protobuf message; a durable stream that sends too much is slowed down.

        Raises:
            QuotaExceeded: a live stream sends more than its vehicle may.
        """
        if self.meter is None:
            return
        excess = self.meter.take(message.ByteSize(), time.monotonic())
        if excess is None:
            return
        if hello.mode is not Mode.DURABLE:
            raise QuotaExceeded(excess.what)
        # Sending again after an outage comes as fast as the link goes, and loses nothing by waiting.
        await asyncio.sleep(excess.wait_s)


ANYBODY = Caller()
"""Behind every call to a server that asks nobody who he is."""

_CURRENT: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)


def current_caller() -> Caller:
    """Return who is behind the call that is being served."""
    return _CURRENT.get()


def set_current_caller(caller: Caller) -> None:
    """Set who is behind the call that this task, and the tasks it starts, serve."""
    _CURRENT.set(caller)


def names_in_certificate(auth_context: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """Return the vehicles that a verified client certificate stands for; empty without one.

    Args:
        auth_context: as gRPC gives it: property -> values. Only a verified certificate gets there.
    """
    texts = {
        name: [bytes(value).decode("utf-8", "replace") for value in auth_context.get(name, ())]
        for name in ("x509_common_name", "peer_uri", "peer_dns")
    }
    urns = [uri.removeprefix(VEHICLE_URN) for uri in texts["peer_uri"] if uri.startswith(VEHICLE_URN)]
    # Whoever names vehicles by URN means exactly those; the other names are for other purposes then.
    return frozenset(urns or texts["x509_common_name"] + texts["peer_dns"]) - {""}


def roles_of(text: str) -> frozenset[str]:
    """Return the roles in a list with commas.

    Raises:
        ValueError: one is unknown; the message says which there are.
    """
    roles = frozenset(text.split(","))
    if not roles <= ROLES:
        raise ValueError(f"{text!r} is not made of {', '.join(sorted(ROLES))}")
    return roles
