"""Only time spent waiting for the peer counts."""

from __future__ import annotations

import asyncio

import pytest

from cloud.security.watchdog import Watchdog
from cloud.status import SilentPeer


def test_time_that_is_ours_does_not_count() -> None:
    now = [0.0]
    dog = Watchdog(10.0, lambda: now[0])
    now[0] = 100.0
    assert dog.left_s == 10.0
    dog.waits()
    now[0] = 104.0
    assert dog.left_s == 6.0
    dog.served()
    now[0] = 200.0
    assert dog.left_s == 10.0
    dog.waits()
    now[0] = 211.0
    assert dog.left_s == -1.0


def test_it_barks_after_silence_and_not_before() -> None:
    async def check() -> None:
        dog = Watchdog(0.2)
        bark = asyncio.ensure_future(dog.bark())
        for _ in range(10):
            dog.waits()
            await asyncio.sleep(0.05)
            dog.served()
        assert not bark.done()
        dog.waits()
        with pytest.raises(SilentPeer, match=r"0\.2 s"):
            await asyncio.wait_for(bark, 5)

    asyncio.run(check())
