"""Callers with certificates and tokens of all kinds, and each RPC of the server by name."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fake_edge import hello, main
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cloud.security import certs, tokens
from cloud.security.files import TlsFiles
from common.pb import ingest_pb2_grpc
from common.stream.convert import downlink_from_pb, uplink_to_pb
from common.stream.limits import client_options
from common.stream.messages import Fault, Role, Welcome

RPCS = ("Push", "Check", "Watch", "ServerReflectionInfo")
DAY_S = 86400.0
LOST_STATUS = (grpc.StatusCode.INTERNAL, "Internal error from Core")
"""What grpc.aio puts in the place of the server's status when a write meets a stream that the server has
already ended (github.com/grpc/grpc/issues/36066): nothing the server said, so the call is made again. The
blocking client, which the edge uses, keeps the status."""
ATTEMPTS = 6


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def outcome(
    rpc: str, channel: Any, metadata: tuple[tuple[str, str], ...] = (), vehicle: str = "car-1"
) -> tuple[grpc.StatusCode, str]:
    """Call an RPC by its name; return OK once it has answered as it should, else status and details."""
    told = grpc.StatusCode.UNKNOWN, "never asked"
    for _ in range(ATTEMPTS):
        told = await asyncio.wait_for(_outcome(rpc, channel, metadata, vehicle), 20)
        if told != LOST_STATUS:
            break
    return told


async def _outcome(
    rpc: str, channel: Any, metadata: tuple[tuple[str, str], ...], vehicle: str
) -> tuple[grpc.StatusCode, str]:
    call: Any = None
    try:
        if rpc == "Check":
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), metadata=metadata)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            return grpc.StatusCode.OK, ""
        if rpc == "Push":
            call = ingest_pb2_grpc.IngestStub(channel).Push(metadata=metadata)
            await call.write(uplink_to_pb(hello(vehicle=vehicle)))
        elif rpc == "Watch":
            stub = health_pb2_grpc.HealthStub(channel)
            call = stub.Watch(health_pb2.HealthCheckRequest(), metadata=metadata)
        else:
            assert rpc == "ServerReflectionInfo"
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(metadata=metadata)
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        told = downlink_from_pb(answer) if rpc == "Push" and answer is not grpc.aio.EOF else answer
        if told is grpc.aio.EOF or isinstance(told, Fault):
            return await call.code(), await call.details()
        if rpc == "Push":
            assert isinstance(told, Welcome)
        elif rpc == "Watch":
            assert told.status == health_pb2.HealthCheckResponse.SERVING
        else:
            assert "mdic.stream.v1.Ingest" in {s.name for s in told.list_services_response.service}
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    except asyncio.InvalidStateError:  # the call ended while its first message was being written
        return await call.code(), await call.details()
    finally:
        if call is not None:
            call.cancel()
    return grpc.StatusCode.OK, ""


def flood(address: str, metadata: tuple[tuple[str, str], ...]) -> tuple[grpc.StatusCode, str]:
    """Send 200 frames of 100 bytes as fast as an edge would; return how the call ended.

    With gRPC's blocking client, as the edge's: asyncio's loses the status (`LOST_STATUS`).
    """
    welcomed = threading.Event()

    def messages() -> Iterator[object]:
        yield uplink_to_pb(hello(Role.MAIN))
        welcomed.wait(60)
        for seq in range(200):
            yield uplink_to_pb(main(seq, bytes(100)))
            time.sleep(0.002)

    with grpc.insecure_channel(address, options=client_options()) as channel:
        try:
            for _ in ingest_pb2_grpc.IngestStub(channel).Push(messages(), metadata=metadata):
                welcomed.set()
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        finally:
            welcomed.set()
    return grpc.StatusCode.OK, ""


class Realm:
    """One CA, one token key, the files of a server, and tokens for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = Ed25519PrivateKey.generate()
        self.tokens_file = folder / "tokens.json"
        self.table = tokens.new_table(self.key.public_key())
        self.save()
        self.now = datetime.datetime.now(datetime.timezone.utc)
        self.ca = certs.make_ca(self.now)
        self.server = certs.make_server(self.ca, ["localhost", "127.0.0.1"], self.now, 1)
        self.files = TlsFiles(
            self.write("server.pem", self.server.certificate_pem),
            self.write("server-key.pem", self.server.key_pem),
        )
        self.mutual = TlsFiles(self.files.cert, self.files.key, self.write("ca.pem", self.ca.certificate_pem))

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    def save(self) -> None:
        """Put the table where the server reads it, in one step."""
        draft = self.folder / "tokens.draft"
        draft.write_text(json.dumps(self.table))
        os.replace(draft, self.tokens_file)

    def token(self, vehicle: str = "car-1", **changes: Any) -> str:
        return self.issue(vehicle, **changes)[0]

    def issue(
        self,
        vehicle: str = "car-1",
        key: Ed25519PrivateKey | None = None,
        age_s: float = 0.0,
        lifetime_s: float = DAY_S,
        roles: frozenset[str] | None = None,
    ) -> tuple[str, tokens.Claims]:
        return tokens.issue(key or self.key, vehicle, time.time() - age_s, lifetime_s, roles)

    def vehicle_channel(self, vehicle: str | None = "car-1", ca: certs.Pair | None = None) -> Any:
        """Return client credentials with the certificate of a vehicle; None for none."""
        if vehicle is None:
            return grpc.ssl_channel_credentials(self.ca.certificate_pem)
        pair = certs.make_vehicle(ca or self.ca, vehicle, self.now, 1)
        return grpc.ssl_channel_credentials(self.ca.certificate_pem, pair.key_pem, pair.certificate_pem)
