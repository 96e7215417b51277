"""The recording engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fake_cloud import go

from cloud.engine.base import EngineRequest
from cloud.engine.null import NullEngine
from common.bitstream.session import SessionFacts


def test_it_answers_without_images() -> None:
    async def check() -> None:
        engine = NullEngine()
        request = EngineRequest(b"x", SessionFacts(bytes(8), 64, 64))
        results = await engine.decode([request] * 3)
        assert len(results) == 3 and all(r.image is None for r in results)
        assert not engine.wants_previous
        await engine.close()

    go(check())


def test_a_server_that_decodes_nothing_loads_no_torch(root: Path) -> None:
    modules = (
        "commands.serve",
        "mainview",
        "registry",
        "scheduler",
        "server",
        "sinks.images",
        "temporal.stage",
    )
    code = "import sys, " + ", ".join(f"cloud.{name}" for name in modules)
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0
