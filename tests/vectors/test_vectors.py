"""The golden vectors: the program, the second reader and the specification's example all say the same."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from common import errors
from common.bitstream import Container, Packet, SessionFacts
from common.entropy import LatentCodec

HERE = Path(__file__).parent
SPEC = HERE.parents[1] / "proto" / "BITSTREAM.md"
STORED_TABLES = json.loads((HERE / "v1" / "tables.json").read_text())
NAMES = sorted(str(p.relative_to(HERE / "v1"))[:-4] for p in (HERE / "v1").rglob("*.bin"))
GOOD = [n for n in NAMES if not n.startswith("bad/")]


def _module(name: str) -> ModuleType:
    """Load a module that stands beside this file."""
    spec = importlib.util.spec_from_file_location(f"vectors_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


READER = _module("reference_reader")
CODEC = LatentCodec(
    {n: np.array(v["data"], dtype=v["dtype"]).reshape(v["shape"]) for n, v in STORED_TABLES.items()}
)


def _vector(name: str) -> tuple[bytes, dict[str, Any]]:
    path = HERE / "v1" / name
    return path.with_name(path.name + ".bin").read_bytes(), json.loads(
        path.with_name(path.name + ".json").read_text()
    )


def _read(data: bytes, meaning: dict[str, Any]) -> dict[str, Any]:
    """Read a vector to the end with the program."""
    if meaning["kind"] == "container":
        container = Container.parse(data, expected_bundle=bytes.fromhex(meaning["loaded_bundle"]))
        session, packet = container.session, container.parse_packet()
    else:
        facts = meaning["session"]
        session = SessionFacts(bytes.fromhex(facts["bundle_id"]), facts["height"], facts["width"])
        packet = Packet.parse(data, session)
    _, symbols = CODEC.decode(packet.payload, packet.quality, session.latent_height, session.latent_width)
    return {
        "session": {"bundle_id": session.bundle_id.hex(), "height": session.height, "width": session.width},
        "quality": packet.quality,
        "flags": packet.flags,
        "sections": [{"type": s.type, "data": s.data.hex()} for s in packet.sections],
        "payload": packet.payload.hex(),
        "z_shape": list(symbols.z.shape),
        "z": symbols.z.ravel().tolist(),
        "y_shape": list(symbols.y.shape),
        "y": symbols.y.ravel().tolist(),
    }


def test_there_are_good_and_bad_vectors_of_every_error():
    expected = {_vector(n)[1]["expect"] for n in NAMES}
    leaves = {c.__name__ for c in errors.BitstreamError.__subclasses__()}
    assert expected == leaves | {"ok"}
    assert len(GOOD) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_the_program_reads_what_the_vector_means(name: str):
    data, meaning = _vector(name)
    if meaning["expect"] == "ok":
        got = _read(data, meaning)
        assert got.items() <= meaning.items()
    else:
        with pytest.raises(errors.BitstreamError) as caught:
            _read(data, meaning)
        assert type(caught.value).__name__ == meaning["expect"]


@pytest.mark.parametrize("name", NAMES)
def test_the_second_reader_reads_the_same(name: str):
    data, meaning = _vector(name)
    if meaning["expect"] == "ok":
        assert READER.read(data, meaning, STORED_TABLES).items() <= meaning.items()
    else:
        with pytest.raises(READER.Refused) as caught:
            READER.read(data, meaning, STORED_TABLES)
        assert caught.value.verdict == meaning["expect"]


@pytest.mark.parametrize("name", GOOD)
def test_writing_gives_the_same_bytes(name: str):
    data, meaning = _vector(name)
    facts = meaning["session"]
    session = SessionFacts(bytes.fromhex(facts["bundle_id"]), facts["height"], facts["width"])
    container = Container.parse(data) if meaning["kind"] == "container" else Container(session, data)
    packet = container.parse_packet()
    z = np.array(meaning["z"], np.int32).reshape(meaning["z_shape"])
    mean_q, _ = CODEC.hyper.run(z, packet.quality)
    y = np.array(meaning["y"], np.float32).reshape(meaning["y_shape"]) + mean_q.astype(np.float32) / 16
    payload = CODEC.encode(y, z.astype(np.float32), packet.quality).payload
    again = Packet(packet.quality, payload, packet.flags, packet.sections).serialize(session)
    assert again == container.packet
    if meaning["kind"] == "container":
        assert Container(session, again).serialize() == data


def test_the_generator_still_makes_these_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    assert _module("generate").differences() == []


def test_the_specifications_example_is_the_vector():
    section = SPEC.read_text().split("## 11. A worked example")[1].split("## 12.")[0]
    listed = "".join(re.findall(r"^    ((?:[0-9A-F]{2} ?)+)$", section, re.MULTILINE))
    data, meaning = _vector("tiny-zeros-q0")
    assert bytes.fromhex(listed) == data
    explained = [
        cell for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for cell in row.split("` `")
    ]
    assert bytes.fromhex("".join(explained).replace("`", "")) == data
    steps = re.findall(r"\| `([0-9A-F]{8})` \| `([0-9A-F]{8})` \| (\d+) \| (\d+) \|", section)
    decoder = READER.SlowDecoder(bytes.fromhex(meaning["payload"]))
    tables = READER.nested(STORED_TABLES, "z_cdf")[0]
    assert len(steps) == 2
    for channel, (code, size, step, target) in enumerate(steps):
        state = decoder.target_number() - decoder.low, decoder.size
        assert state == (int(code, 16), int(size, 16))
        assert (state[1] >> 16, state[0] // (state[1] >> 16)) == (int(step), int(target))
        decoder.symbol(tables[channel])
    assert f"`{decoder.target_number() - decoder.low:08X}`, size is `{decoder.size:08X}`" in section
