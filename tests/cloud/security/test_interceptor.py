"""Every RPC, named, over real gRPC: strangers, expired, foreign and revoked callers are refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fake_callers import DAY_S, RPCS, Realm, bearer, flood, outcome
from fake_cloud import cloud, go, until
from fake_edge import Edge, hello, main, side

from cloud.security import interceptor
from cloud.security.interceptor import Guard
from cloud.security.opening import open_security
from cloud.security.tokens import key_id
from cloud.sinks.base import open_sink
from common.stream.messages import Mode, Role, Status, Welcome

CODE = grpc.StatusCode


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    return Realm(tmp_path)


def guard_of(realm: Realm) -> Guard:
    guard, _ = open_security(None, realm.tokens_file)
    assert guard is not None
    return guard


async def ended(call) -> grpc.StatusCode:
    """Return a call's status once it is over; gRPC tells it after everything sent before was read."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    return await call.code()


def forged(realm: Realm, kind: str) -> str:
    """Return a token that somebody without our key could make."""
    claims = {"sub": "car-1", "jti": "1", "iat": time.time(), "exp": time.time() + 60, "aud": "mdic-stream"}
    kid = key_id(realm.key.public_key())
    public = realm.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    if kind == "other key under our key's name":
        return jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", {"kid": kid})
    if kind == "other key":
        return realm.token(key=Ed25519PrivateKey.generate())
    if kind == "unsigned":
        return jwt.encode(claims, None, "none", {"kid": kid})
    if kind == "public key as shared secret":
        return jwt.encode(claims, public, "HS256", {"kid": kid})
    if kind == "changed":
        head, body, mark = realm.token("car-2").split(".")
        text = base64.urlsafe_b64decode(body + "==").replace(b"car-2", b"car-1")
        return f"{head}.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.{mark}"
    if kind == "for something else":
        return jwt.encode({**claims, "aud": "elsewhere"}, realm.key, "EdDSA", {"kid": kid})
    if kind == "without expiry":
        return jwt.encode({k: v for k, v in claims.items() if k != "exp"}, realm.key, "EdDSA", {"kid": kid})
    assert kind == "no token at all"
    return "x" * 40


FORGERIES = (
    "other key under our key's name", "other key", "unsigned", "public key as shared secret", "changed",
    "for something else", "without expiry", "no token at all",
)  # fmt: skip


@pytest.mark.parametrize("rpc", RPCS)
def test_unauthenticated_expired_forged_and_revoked_callers_are_refused(rpc: str, realm: Realm) -> None:
    revoked, claims = realm.issue()
    realm.table["revoked"] = {claims.token_id: claims.expires_s}
    realm.table["void_before"] = {"car-9": time.time() + 1}
    realm.save()
    bad = {
        "nothing": ((), "asks for a token"),
        "another scheme": ((("authorization", "Basic eDp5"),), "bearer"),
        "two": (bearer(realm.token()) + bearer(realm.token()), "bearer"),
        "expired": (bearer(realm.token(age_s=DAY_S, lifetime_s=60)), "expired"),
        "of tomorrow": (bearer(realm.token(age_s=-DAY_S)), "not valid yet"),
        "revoked": (bearer(revoked), "revoked"),
        "revoked vehicle": (bearer(realm.token("car-9")), "revoked"),
        **{kind: (bearer(forged(realm, kind)), "not valid") for kind in FORGERIES},
    }

    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c, grpc.aio.insecure_channel(c.address) as channel:
            for kind, (metadata, words) in bad.items():
                code, details = await outcome(rpc, channel, metadata)
                assert (kind, code) == (kind, CODE.UNAUTHENTICATED)
                assert words in details, kind
            assert c.registry.sessions == 0

    go(check())


@pytest.mark.parametrize("rpc", RPCS)
def test_a_good_token_passes(rpc: str, realm: Realm) -> None:
    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c, grpc.aio.insecure_channel(c.address) as channel:
            assert await outcome(rpc, channel, bearer(realm.token())) == (CODE.OK, "")

    go(check())


def test_an_unknown_method_tells_a_stranger_nothing(realm: Realm) -> None:
    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c, grpc.aio.insecure_channel(c.address) as channel:
            call = channel.unary_unary("/mdic.stream.v1.Ingest/Pull")
            for metadata, code in (((), CODE.UNAUTHENTICATED), (bearer(realm.token()), CODE.UNIMPLEMENTED)):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(b"", metadata=metadata)
                assert caught.value.code() is code

    go(check())


def test_one_vehicle_cannot_touch_anothers_session(realm: Realm) -> None:
    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c:
            owner = Edge(c.address, metadata=bearer(realm.token("car-1")))
            assert isinstance(await owner.open(hello(Role.MAIN)), Welcome)
            thief = Edge(c.address, metadata=bearer(realm.token("car-2")))
            await thief.open(hello(Role.SIDE))  # the free place in car-1's session
            assert thief.fault is not None and thief.fault.code == 44 and "car-1" in thief.fault.message
            assert await thief.status() is CODE.PERMISSION_DENIED
            await owner.send(main(0))
            await owner.end()
            assert owner.acks[0].status is Status.DECODED and c.totals.sessions == 1
            assert {frame.vehicle for frame in c.sink.frames} == {"car-1"}
            await owner.close()
            await thief.close()

    go(check())


@pytest.mark.parametrize(
    ("roles", "role", "code"),
    [
        ({"main"}, Role.MAIN, CODE.OK),
        ({"main"}, Role.SIDE, CODE.PERMISSION_DENIED),
        ({"side"}, Role.SIDE, CODE.OK),
        ({"side"}, Role.BOTH, CODE.PERMISSION_DENIED),
        ({"probe"}, Role.MAIN, CODE.PERMISSION_DENIED),
    ],
)
def test_roles_bound_what_a_token_is_good_for(roles, role, code, realm: Realm) -> None:
    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c:
            edge = Edge(c.address, metadata=bearer(realm.token(roles=frozenset(roles))))
            answer = await edge.open(hello(role))
            assert isinstance(answer, Welcome) if code is CODE.OK else await edge.status() is code
            await edge.close()
            async with grpc.aio.insecure_channel(c.address) as channel:
                metadata = bearer(realm.token(roles=frozenset(roles)))
                assert (await outcome("Check", channel, metadata))[0] is CODE.OK

    go(check())


@pytest.mark.parametrize("rpc", ["Push", "Watch", "ServerReflectionInfo"])
@pytest.mark.parametrize("how", ["token", "vehicle", "expiry"])
def test_revoking_cuts_an_open_stream_of_a_running_server(
    rpc: str, how: str, realm: Realm, monkeypatch
) -> None:
    monkeypatch.setattr(interceptor, "WATCH_S", 0.05)
    monkeypatch.setattr("cloud.security.tokens.LEEWAY_S", 0.0)
    token, claims = realm.issue(lifetime_s=1.5 if how == "expiry" else DAY_S)
    other = realm.token()

    async def check() -> None:
        guard = guard_of(realm)
        async with cloud(guard=guard) as c:
            if rpc == "Push":
                edge = Edge(c.address, metadata=bearer(token))
                assert isinstance(await edge.open(hello()), Welcome)
                await edge.send(side(0), main(0))
                await until(lambda: len(c.sink.frames) == 1)
                call = edge.call
            else:
                edge = Edge(c.address)
                kinds = {
                    "Watch": edge.channel.unary_stream("/grpc.health.v1.Health/Watch"),
                    "ServerReflectionInfo": edge.channel.stream_stream(
                        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
                    ),
                }
                call = kinds[rpc](b"", metadata=bearer(token)) if rpc == "Watch" else kinds[rpc](
                    metadata=bearer(token)
                )  # fmt: skip
            await until(lambda: guard.open_calls == 1)
            if how == "token":
                realm.table["revoked"] = {claims.token_id: claims.expires_s}
            elif how == "vehicle":
                realm.table["void_before"] = {"car-1": time.time()}
            realm.save()
            begun = time.monotonic()
            assert await asyncio.wait_for(ended(call), 10) is CODE.UNAUTHENTICATED
            assert time.monotonic() - begun < 5
            assert ("expired" if how == "expiry" else "revoked") in await call.details()
            await until(lambda: guard.open_calls == 0)
            await until(lambda: c.registry.sessions == 0)  # its session lingers, then goes
            if how == "token":  # only that token is void
                async with grpc.aio.insecure_channel(c.address) as channel:
                    assert (await outcome(rpc, channel, bearer(other)))[0] is CODE.OK
            await edge.close()

    go(check())


def test_more_streams_than_granted_are_refused_and_places_come_back(realm: Realm) -> None:
    realm.table["quotas"] = {"vehicles": {"car-1": {"streams": 2}}}
    realm.save()

    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c, grpc.aio.insecure_channel(c.address) as channel:
            mine = bearer(realm.token())
            edges = [Edge(c.address, metadata=mine) for _ in range(2)]
            for edge, role in zip(edges, (Role.MAIN, Role.SIDE), strict=True):
                assert isinstance(await edge.open(hello(role)), Welcome)
            for rpc in RPCS:
                code, details = await outcome(rpc, channel, mine)
                assert code is CODE.RESOURCE_EXHAUSTED and "2 streams" in details
            assert (await outcome("Check", channel, bearer(realm.token("car-2"))))[0] is CODE.OK
            await edges[0].end()
            await edges[0].close()
            for _ in range(200):
                code, _ = await outcome("Check", channel, mine)
                if code is CODE.OK:
                    break
                await asyncio.sleep(0.01)
            assert code is CODE.OK
            await edges[1].close()

    go(check())


@pytest.mark.parametrize(
    ("quota", "words"), [({"frames_per_s": 5}, "5 frames"), ({"bytes_per_s": 2000}, "2000 bytes")]
)
def test_a_live_stream_over_its_rate_ends_with_resource_exhausted(quota, words, realm: Realm) -> None:
    realm.table["quotas"] = {"default": quota}
    realm.save()

    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c:
            code, details = await asyncio.to_thread(flood, c.address, bearer(realm.token()))
            assert code is CODE.RESOURCE_EXHAUSTED and words in details
            assert 0 < c.totals.received < 100

    go(check())


def test_a_durable_stream_over_its_rate_is_slowed_and_loses_nothing(realm: Realm, tmp_path: Path) -> None:
    realm.table["quotas"] = {"default": {"frames_per_s": 20}}
    realm.save()

    async def check() -> None:
        async with cloud(guard=guard_of(realm), sinks=(open_sink(f"images:{tmp_path / 'out'}"),)) as c:
            edge = Edge(c.address, metadata=bearer(realm.token()))
            begun = time.monotonic()
            assert isinstance(await edge.open(hello(Role.MAIN, mode=Mode.DURABLE)), Welcome)
            for seq in range(60):  # 40 fit into the burst, the others come at the rate
                await edge.send(main(seq))
            await edge.end()
            assert [edge.acks[seq].status for seq in range(60)] == [Status.DECODED] * 60
            assert await edge.status() is CODE.OK
            assert time.monotonic() - begun > 0.9
            await edge.close()

    go(check())


def test_neither_log_nor_answer_holds_a_token(realm: Realm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bad, good = forged(realm, "changed"), realm.token()

    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c, grpc.aio.insecure_channel(c.address) as channel:
            for rpc in RPCS:
                _, details = await outcome(rpc, channel, bearer(bad))
                assert bad not in details and bad.split(".")[1] not in details
                await outcome(rpc, channel, bearer(good))

    go(check())
    assert "refused /mdic.stream.v1.Ingest/Push from ipv4:127.0.0.1" in caplog.text
    for token in (bad, good):
        assert not any(part in caplog.text for part in token.split("."))


def test_a_stranger_cannot_make_the_server_read_or_inflate_anything(realm: Realm) -> None:
    async def check() -> None:
        async with cloud(guard=guard_of(realm)) as c, grpc.aio.insecure_channel(c.address) as channel:
            seen: list[int] = []
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=lambda size: seen.append(size) or bytes(size),
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(15 << 20)
            assert seen and caught.value.code() is CODE.UNAUTHENTICATED

    go(check())


BOMB = """
import faulthandler, sys, grpc
faulthandler.dump_traceback_later(50)  # a client that hangs says where
options = [("grpc.max_send_message_length", -1)]
with grpc.insecure_channel(sys.argv[1], options, compression=grpc.Compression.Gzip) as channel:
    push = channel.stream_stream("/mdic.stream.v1.Ingest/Push")
    call = push(iter([bytes(200 << 20)]), timeout=40)  # a server that hangs shows as DEADLINE_EXCEEDED
    try:
        next(call)
    except grpc.RpcError:
        print(call.code().name)
"""


def memory_kib(name: str) -> int:
    """Return a number of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to see its own memory")
def test_a_compressed_message_is_refused_not_inflated() -> None:
    """Without the server's option, gRPC inflates all of it before it looks at the size."""

    def bomb(address: str) -> str:
        """Send 200 kB that are 200 MiB, from a process of its own; return the status."""
        sent = subprocess.run(
            [sys.executable, "-c", BOMB, address], stdout=subprocess.PIPE, text=True, timeout=60
        )
        return sent.stdout.strip()  # its stderr is pytest's, which shows it where the test fails

    async def check() -> None:
        async with cloud() as c:
            Path("/proc/self/clear_refs").write_text("5")  # the highest mark counts from here
            before = memory_kib("VmRSS")
            assert await asyncio.to_thread(bomb, c.address) == "UNIMPLEMENTED"
            assert memory_kib("VmHWM") - before < 100 << 10

    go(check())


@pytest.mark.parametrize("rpc", RPCS)
def test_mutual_tls_with_tokens(rpc: str, realm: Realm) -> None:
    """Token and certificate have to be of the same vehicle, on every RPC."""

    async def check() -> None:
        guard, credentials = open_security(realm.mutual, realm.tokens_file)
        async with cloud(guard=guard, credentials=credentials) as c:
            address = c.address.replace("127.0.0.1", "localhost")
            async with grpc.aio.secure_channel(address, realm.vehicle_channel("car-1")) as channel:
                assert await outcome(rpc, channel, bearer(realm.token("car-1"))) == (CODE.OK, "")
                assert (await outcome(rpc, channel))[0] is CODE.UNAUTHENTICATED
                code, details = await outcome(rpc, channel, bearer(realm.token("car-2")), vehicle="car-2")
                assert code is CODE.PERMISSION_DENIED and "same vehicle" in details

    go(check())


def test_a_broken_tokens_file_keeps_the_policy_in_force(realm: Realm) -> None:
    async def check() -> None:
        guard = guard_of(realm)
        async with cloud(guard=guard) as c, grpc.aio.insecure_channel(c.address) as channel:
            realm.tokens_file.write_text("{")
            guard.look()
            assert (await outcome("Check", channel, bearer(realm.token())))[0] is CODE.OK
            assert (await outcome("Check", channel))[0] is CODE.UNAUTHENTICATED
            realm.tokens_file.write_text(json.dumps(realm.table))

    go(check())
