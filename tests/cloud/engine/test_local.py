"""The local engine: one thread, errors one by one."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from fake_cloud import PlainRequest, go
from fake_decoder import BUNDLE_ID, POISON, FakeDecoder, packet_of

from cloud.engine.base import EngineRequest, EngineResult
from cloud.engine.local import LocalEngine
from common.bitstream.session import SessionFacts
from common.errors import CorruptPayload

FACTS = SessionFacts(BUNDLE_ID, 64, 96)


def request(payload: bytes, frame: int = 0) -> EngineRequest:
    return EngineRequest(packet_of(payload), FACTS, stream="car", frame=frame)


def test_a_batch_is_decoded_together_in_another_thread() -> None:
    async def check() -> None:
        gate = threading.Event()
        decoder = FakeDecoder(gate=gate)
        engine = LocalEngine(decoder, 4, convert=PlainRequest)
        work = asyncio.ensure_future(engine.decode([request(bytes([n]), n) for n in range(3)]))
        await asyncio.sleep(0.05)  # the loop is free meanwhile
        gate.set()
        results = await work
        assert [r.image[0, 0, 0] for r in results if isinstance(r, EngineResult)] == [0, 1, 2]
        assert decoder.batches == [[("car", 0), ("car", 1), ("car", 2)]]
        await engine.close()

    go(check())


def test_a_bad_request_spoils_no_other() -> None:
    async def check() -> None:
        engine = LocalEngine(FakeDecoder(), 4, convert=PlainRequest)
        results = await engine.decode(
            [request(b"\x01"), request(POISON), request(b"crash"), request(b"\x04")]
        )
        assert isinstance(results[0], EngineResult) and isinstance(results[3], EngineResult)
        assert isinstance(results[1], CorruptPayload)
        assert str(results[2]) == "internal error"
        await engine.close()

    go(check())


def test_closing_waits_for_the_batch_in_progress() -> None:
    async def check() -> None:
        decoder = FakeDecoder(seconds=0.1)
        engine = LocalEngine(decoder, 4, convert=PlainRequest)
        work = asyncio.ensure_future(engine.decode([request(b"\x01")]))
        await asyncio.sleep(0.02)
        await engine.close()
        assert len(await work) == 1

    go(check())


def test_requests_become_those_of_the_real_decoder() -> None:
    from cloud.decoder import DecodeRequest

    class Spy:
        uses_previous = True

        def decode_batch(self, requests):
            self.requests = requests
            return [FakeDecoder()._frame(r) for r in requests]

    async def check() -> None:
        spy = Spy()
        engine = LocalEngine(spy)  # type: ignore[arg-type]
        assert engine.wants_previous
        side, previous = np.zeros((2, 64, 96, 3), np.uint8)
        await engine.decode(
            [EngineRequest(packet_of(b"x"), FACTS, side, previous, "car", 9, 3, side_lossy=True)]
        )
        (made,) = spy.requests
        assert isinstance(made, DecodeRequest)
        assert (made.height, made.width, made.stream, made.frame, made.steps) == (64, 96, "car", 9, 3)
        assert (
            made.side is side
            and made.side_lossy
            and made.previous is previous
            and made.packet == packet_of(b"x")
        )
        await engine.close()

    go(check())


def test_no_batch_of_nothing() -> None:
    with pytest.raises(ValueError, match="0"):
        LocalEngine(FakeDecoder(), 0)  # type: ignore[arg-type]
