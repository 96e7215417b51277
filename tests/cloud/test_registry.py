"""Who may join, and when a session is over."""

from __future__ import annotations

import asyncio

import pytest
from fake_cloud import cloud, go, until
from fake_edge import hello, main, side

from cloud.status import CloudClosing, CloudFull, VehicleBusy
from common.errors import ForeignBundle, UnknownVersion
from common.stream.messages import Role


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (hello(wire_version=1), UnknownVersion),
        (hello(bundle_id=b"another!"), ForeignBundle),
    ],
)
def test_hello_is_checked(message, error) -> None:
    async def check() -> None:
        async with cloud() as c:
            with pytest.raises(error):
                await c.registry.join(message)
            assert c.registry.sessions == 0

    go(check())


def test_a_side_connection_needs_no_bundle_and_a_recorder_takes_any() -> None:
    async def check() -> None:
        async with cloud() as c:
            await c.registry.join(hello(Role.SIDE))
        async with cloud(bundle_id=None) as c:
            await c.registry.join(hello(bundle_id=b"another!"))

    go(check())


def test_bounds_and_places() -> None:
    async def check() -> None:
        async with cloud(max_sessions=1) as c:
            session, connection = await c.registry.join(hello(Role.MAIN))
            with pytest.raises(VehicleBusy, match="main view"):
                await c.registry.join(hello(Role.BOTH))
            with pytest.raises(CloudFull):
                await c.registry.join(hello(vehicle="other"))
            same, other = await c.registry.join(hello(Role.SIDE))
            assert same is session and other is not connection
            with pytest.raises(VehicleBusy, match="side view"):
                await c.registry.join(hello(Role.SIDE))
            c.registry.leave(session, connection)
            await c.registry.join(hello(Role.MAIN))

    go(check())


def test_a_refused_first_hello_leaves_no_session_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import cloud.sessions
    from common.errors import MissingDependency

    def refuse(*_: object) -> None:
        raise MissingDependency("av", "cloud")

    monkeypatch.setattr(cloud.sessions, "open_side_decoder", refuse)

    async def check() -> None:
        async with cloud_of(linger_s=0.05) as c:
            with pytest.raises(MissingDependency):
                await c.registry.join(hello())
            await until(lambda: c.registry.sessions == 0)

    from fake_cloud import cloud as cloud_of

    go(check())


def test_a_session_with_frames_in_work_outlives_its_linger() -> None:
    import threading

    from fake_decoder import FakeDecoder

    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), linger_s=0.05) as c:
            session, connection = await c.registry.join(hello())
            await session.take_side(connection, side(0))
            session.take_main(connection, main(0))
            c.registry.leave(session, connection)
            await asyncio.sleep(0.3)
            assert c.registry.sessions == 1
            gate.set()
            await until(lambda: c.sink.events == ["car-1:0", "close car-1"])
            assert c.registry.sessions == 0

    go(check())


def test_closing_refuses_newcomers() -> None:
    async def check() -> None:
        async with cloud() as c:
            await c.registry.shutdown(0.1)
            with pytest.raises(CloudClosing):
                await c.registry.join(hello())

    go(check())
