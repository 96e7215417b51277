"""Every engine keeps to the interface."""

from __future__ import annotations

import inspect

import pytest

from cloud.engine.base import Engine, EngineRequest
from cloud.engine.local import LocalEngine
from cloud.engine.null import NullEngine
from common.bitstream.session import SessionFacts


@pytest.mark.parametrize("kind", [LocalEngine, NullEngine])
def test_engines_have_what_the_scheduler_uses(kind: type) -> None:
    for name in ("name", "max_batch", "wants_previous", "decode", "close"):
        assert hasattr(kind, name), name
    assert inspect.iscoroutinefunction(kind.decode) and inspect.iscoroutinefunction(kind.close)
    assert set(inspect.signature(kind.decode).parameters) == set(inspect.signature(Engine.decode).parameters)


def test_a_request_defaults_to_the_packet_alone() -> None:
    request = EngineRequest(b"x", SessionFacts(bytes(8), 64, 64))
    assert (request.side, request.previous, request.steps, request.frame, request.stream) == (
        None,
        None,
        None,
        0,
        "",
    )
