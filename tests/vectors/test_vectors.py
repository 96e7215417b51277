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
from common.entropy.latents import sixteenths
from common.resampling import CodedView, Resampling

HERE = Path(__file__).parent
SPEC = HERE.parents[1] / "proto" / "BITSTREAM.md"
STORED_TABLES = {
    name: json.loads((HERE / "v1" / f"{name}.json").read_text())
    for name in ("tables", "tables-refined", "tables-lit", "tables-context")
}
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
CODECS = {
    name: LatentCodec(
        {n: np.array(v["data"], dtype=v["dtype"]).reshape(v["shape"]) for n, v in stored.items()}
    )
    for name, stored in STORED_TABLES.items()
}


def _tables(meaning: dict[str, Any]) -> str:
    """Return the name of the tables a vector is coded with."""
    return str(meaning.get("tables", "tables"))


def _view(packet: Packet, session: SessionFacts, meaning: dict[str, Any]) -> CodedView:
    """Return what is coded of the frame, by the tables of the vector's bundle."""
    resampling = Resampling(meaning.get("resampling", []))
    return resampling.coded_view(packet.quality, session.height, session.width)


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
    codec, view = CODECS[_tables(meaning)], _view(packet, session, meaning)
    _, symbols = codec.decode(
        packet.payload, view.quality, view.latent_height, view.latent_width, view.waves, view.contexts
    )
    refinement = symbols.refinement
    more: dict[str, Any] = {}
    if refinement is not None:
        more["levels_shape"] = list(refinement.levels.shape)
        more["levels"] = refinement.levels.ravel().tolist()
        more["mean"] = np.rint(refinement.mean * 1024).astype(int).ravel().tolist()
    if symbols.illumination is not None:
        more["light"] = symbols.illumination.levels.tolist()
    return more | {
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
        assert READER.read(data, meaning, STORED_TABLES[_tables(meaning)]).items() <= meaning.items()
    else:
        with pytest.raises(READER.Refused) as caught:
            READER.read(data, meaning, STORED_TABLES[_tables(meaning)])
        assert caught.value.verdict == meaning["expect"]


@pytest.mark.parametrize("name", GOOD)
def test_writing_gives_the_same_bytes(name: str):
    data, meaning = _vector(name)
    facts = meaning["session"]
    session = SessionFacts(bytes.fromhex(facts["bundle_id"]), facts["height"], facts["width"])
    container = Container.parse(data) if meaning["kind"] == "container" else Container(session, data)
    packet = container.parse_packet()
    z = np.array(meaning["z"], np.int32).reshape(meaning["z_shape"])
    codec, view = CODECS[_tables(meaning)], _view(packet, session, meaning)
    quality = view.quality
    mean_q, _ = codec.hyper.run(z, codec.latent_quality(quality))
    y = np.array(meaning["y"], np.float32).reshape(meaning["y_shape"]) + mean_q.astype(np.float32) / 16
    coefficients, light = _coefficients(codec, y, meaning), _light(codec, meaning)
    more = coefficients, light, view.waves, view.contexts
    payload = codec.encode(y, z.astype(np.float32), quality, *more).payload
    again = Packet(packet.quality, payload, packet.flags, packet.sections).serialize(session)
    assert again == container.packet
    if meaning["kind"] == "container":
        assert Container(session, again).serialize() == data


def _coefficients(codec: LatentCodec, y: np.ndarray, meaning: dict[str, Any]) -> np.ndarray | None:
    """Return coefficients well inside the intervals that a vector's levels stand for."""
    if "levels" not in meaning or codec.refinement is None:
        return None
    levels = np.array(meaning["levels"], np.int32).reshape(meaning["levels_shape"])
    flat = codec.refinement.quantise(np.zeros(levels.shape, np.float32), meaning["quality"], sixteenths(y))
    x = (levels + 0.25 * np.sign(levels)) * flat.steps
    x[:, :, 0, 0] += np.array(meaning["mean"]).reshape(levels.shape[:2]) / 1024
    return x.astype(np.float32)


def _light(codec: LatentCodec, meaning: dict[str, Any]) -> np.ndarray | None:
    """Return coefficients inside the intervals that a vector's waves stand for; any for those it does not carry."""
    if codec.illumination is None:
        return None
    arrays = STORED_TABLES[_tables(meaning)]
    levels = meaning["light"] + [0] * (len(codec.illumination.waves) - len(meaning["light"]))
    step, mean = (np.array(arrays[f"light_{name}"]["data"]) for name in ("step", "mean"))
    return (mean + (np.array(levels) - 0.25) * step) / 4096


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
    tables = READER.nested(STORED_TABLES["tables"], "z_cdf")[0]
    assert len(steps) == 2
    for channel, (code, size, step, target) in enumerate(steps):
        state = decoder.target_number() - decoder.low, decoder.size
        assert state == (int(code, 16), int(size, 16))
        assert (state[1] >> 16, state[0] // (state[1] >> 16)) == (int(step), int(target))
        decoder.symbol(tables[channel])
    assert f"`{decoder.target_number() - decoder.low:08X}`, size is `{decoder.size:08X}`" in section
