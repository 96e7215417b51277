"""The vehicles of a load test against a real server in this process, and what they send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.gateway.fleet import main as fleet_main
from benchmarks.gateway.traffic import FACTS, packets, side_view
from benchmarks.gateway.vehicle import Vehicle
from cloud.commands.serve import ServeOptions, serve
from cloud.engine.null import NullEngine
from cloud.pairing import PairingLimits
from cloud.sideinfo.imageheader import jpeg_size
from common.bitstream.packet import Packet
from common.errors import CloudUnreachable, PeerRejected


def with_server(scene: Callable[[str], Awaitable[None]]) -> None:
    """Run `scene` with the address of a server."""

    async def run() -> None:
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        options = ServeOptions("127.0.0.1", 0, PairingLimits(wait_ns=0))
        server = asyncio.ensure_future(
            serve(options, NullEngine, [], lambda said: listening.set_result(said.split()[-1]), stop)
        )
        try:
            await asyncio.wait_for(scene(await asyncio.wait_for(listening, 20)), 30)
        finally:
            stop.set()
            await server

    asyncio.run(run())


def test_packets_are_valid_and_seeded() -> None:
    made = packets(5, 3)
    assert made == packets(5, 3) != packets(5, 4)
    assert all(100 <= len(Packet.parse(packet, FACTS).payload) <= 1000 for packet in made)
    assert jpeg_size(side_view(1)) == (64, 96)


@pytest.mark.parametrize("side", [False, True])
def test_every_frame_is_answered_and_timed(side: bool) -> None:
    async def scene(address: str) -> None:
        vehicle = Vehicle(address, "car", side)
        times: list[int] = []
        vehicle.on_ack = lambda sent_ns, now_ns: times.append(now_ns - sent_ns)
        await vehicle.open()
        view = side_view(1) if side else None
        for seq, packet in enumerate(packets(20, 1)):
            await vehicle.room(4)
            assert len(vehicle.in_flight) < 4
            await vehicle.send(seq, 1000 * seq, packet, view)
        await vehicle.ping()
        await vehicle.end()
        assert vehicle.statuses == {"decoded": 20} and not vehicle.in_flight
        assert len(times) == 20 and min(times) > 0
        assert vehicle.goodbye is not None and vehicle.goodbye.side_received == 20 * side

    with_server(scene)


def test_a_refusal_and_an_absent_server_are_errors() -> None:
    async def scene(address: str) -> None:
        first, second = Vehicle(address, "car"), Vehicle(address, "car")
        await first.open()
        with pytest.raises((PeerRejected, CloudUnreachable), match="another connection"):
            await second.open()
        await second.close()
        await first.end()

    with_server(scene)


def test_the_fleet_needs_its_arguments(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        fleet_main(["--vehicles", "3"])
    assert ended.value.code == 2
    assert "--address" in capsys.readouterr().err
