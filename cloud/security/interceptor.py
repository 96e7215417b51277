"""The guard before every RPC, and over every RPC while it lasts: a revoked or expired caller is cut off.

Tokens are checked before the first message of a call is read, so a stranger cannot make the server hold any.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc

from cloud.security.callers import Caller, names_in_certificate, set_current_caller
from cloud.security.quotas import Meters, TokenBucket
from cloud.security.store import TokenStore
from cloud.security.tokens import Claims
from cloud.status import Forbidden, QuotaExceeded, Unauthenticated, status_of
from common.errors import MdicError

LOG = logging.getLogger(__name__)

AUTHORIZATION = "authorization"
WATCH_S = 1.0
"""How often the tokens file and the open calls are looked at."""
_LOG_LINES_PER_S, _LOG_LINES = 1.0, 20.0

_MAKERS: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


@dataclass(eq=False)
class _OpenCall:
    """Follow one call that was let in."""

    method: str
    claims: Claims
    work: asyncio.Future[Any] | None = None
    lapsed: Unauthenticated | None = None


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Ask every caller who it is."""

    def __init__(
        self, store: TokenStore | None, mutual_tls: bool, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare.

        Args:
            store: tokens; None asks for none.
            mutual_tls: callers show a certificate, which has to name their vehicle.
            clock: seconds since 1970.
        """
        self._store, self._mutual_tls, self._clock = store, mutual_tls, clock
        self._meters = Meters()
        self._open: set[_OpenCall] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._log_quota = TokenBucket(_LOG_LINES_PER_S, _LOG_LINES, time.monotonic())

    @property
    def open_calls(self) -> int:
        """Count the calls that are open with a token."""
        return len(self._open)

    def start(self) -> None:
        """Begin to watch the tokens file and the open calls; needs a running loop."""
        if self._store is not None and self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch())

    def stop(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Let a call through to its handler, or to one that refuses it unread."""
        method = str(handler_call_details.method)
        claims: Claims | None = None
        if self._store is not None:
            try:
                token = _bearer(handler_call_details.invocation_metadata)
                claims = self._store.policy.claims(token, self._clock())
            except Unauthenticated as error:
                return self._refusal(method, error)
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # no such method
        return self._guarded(method, handler, claims)

    def _refusal(self, method: str, error: MdicError) -> Any:
        async def refuse(_: object, context: Any) -> None:
            await self._refuse(method, context, error)

        # Whatever the method's kind: on the wire all are streams, and this one reads none of it.
        return grpc.stream_stream_rpc_method_handler(refuse)

    async def _refuse(self, method: str, context: Any, error: MdicError) -> None:
        if self._log_quota.take(1.0, time.monotonic()) <= 0:
            LOG.warning("refused %s from %s: %s", method[:80], context.peer(), error)
        code, detail = status_of(error)
        await context.abort(code, detail)

    def _guarded(self, method: str, handler: Any, claims: Claims | None) -> Any:
        """Return a handler of the same kind that admits the caller, then serves it under watch."""
        serve = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

        async def guarded(request: Any, context: Any) -> Any:
            try:
                caller = self._caller(claims, context)
            except (Forbidden, QuotaExceeded) as error:
                return await self._refuse(method, context, error)
            set_current_caller(caller)
            try:
                if claims is None:
                    return await _serve(serve, request, context)
                return await self._watched(
                    _OpenCall(method, claims), _serve(serve, request, context), context
                )
            finally:
                if caller.meter is not None:
                    caller.meter.close()

        make = _MAKERS[bool(handler.request_streaming), bool(handler.response_streaming)]
        return make(guarded, handler.request_deserializer, handler.response_serializer)

    def _caller(self, claims: Claims | None, context: Any) -> Caller:
        """Return the caller with one more stream on its meter.

        Raises:
            Forbidden: token and certificate are not of the same vehicle.
            QuotaExceeded: it has as many streams as it may.
        """
        names = names_in_certificate(context.auth_context()) if self._mutual_tls else None
        if claims is None or self._store is None:
            return Caller(None, names)
        if names is not None and claims.vehicle not in names:
            raise Forbidden("token and certificate are not of the same vehicle")
        quota = self._store.policy.quota(claims.vehicle)
        meter = self._meters.of(claims.vehicle, quota, time.monotonic())
        excess = meter.open()
        if excess is not None:
            raise QuotaExceeded(excess.what)
        return Caller(claims, names, meter)

    async def _watched(self, call: _OpenCall, work: Awaitable[Any], context: Any) -> Any:
        """Do the work of a call until it is done or its token lapses."""
        call.work = asyncio.ensure_future(work)
        self._open.add(call)
        try:
            return await call.work
        except asyncio.CancelledError:
            if call.lapsed is None:
                raise  # the client went away, or the server stops
        finally:
            self._open.discard(call)
        return await self._refuse(call.method, context, call.lapsed)

    async def _watch(self) -> None:
        """Look again and again whether what was let in still may be here."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                self.look()
            except Exception:
                LOG.exception("looking after the open calls failed")

    def look(self) -> None:
        """Read the tokens file if it changed, and cut every call whose token is no longer valid."""
        if self._store is None:
            return
        self._store.refresh()
        policy, now_s = self._store.policy, self._clock()
        for call in list(self._open):
            try:
                policy.check(call.claims, now_s)
            except Unauthenticated as error:
                call.lapsed = error
                if call.work is not None:
                    call.work.cancel()


async def _serve(serve: Callable[..., Any], request: Any, context: Any) -> Any:
    """Call a handler of any style."""
    answer = serve(request, context)
    if inspect.isasyncgen(answer):
        async for message in answer:
            await context.write(message)
        return None
    return await answer


def _bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the token in a call's metadata.

    Raises:
        Unauthenticated: there is none, or more than one.
    """
    values = [value for name, value in metadata if name == AUTHORIZATION]
    if not values:
        raise Unauthenticated("this cloud asks for a token")
    scheme, _, token = str(values[0]).partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise Unauthenticated("the authorization is not one bearer token")
    return token
