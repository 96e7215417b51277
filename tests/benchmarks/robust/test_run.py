"""The whole command on tiny drives with a codec without networks: rows, resuming, tables, plots."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.robust import run as run_module
from benchmarks.robust.probe import Probe
from common.errors import UsageError

pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
pytest.importorskip("av", reason="PyAV (extra bench) is not installed")


class FakeJudge:
    """Measures mean absolute difference and calls it by the names that were asked for."""

    def __init__(self, metrics, *_):
        self.metrics = metrics

    def measure(self, reference, pictures):
        errors = [float(np.abs(reference.astype(int) - p).mean()) / 100 + 1e-3 for p in pictures]
        return [{key: error for key in self.metrics} for error in errors]


@dataclass(frozen=True)
class CaptionedRequest:
    packet: bytes
    height: int
    width: int
    side: Any
    steps: Any = None
    side_lossy: bool = False
    caption: Any = None


@pytest.fixture
def command(data, probe, tmp_path, monkeypatch):
    about = {"name": "fake", "id": "00" * 8, "qualities": 8, "trained_on": "nothing"}
    loaded = SimpleNamespace(probe=probe, about=about)
    monkeypatch.setattr(Probe, "load", classmethod(lambda cls, *_: (loaded.probe, loaded.about)))
    monkeypatch.setattr(run_module, "Judge", FakeJudge)
    monkeypatch.setattr(run_module, "_device", lambda name: "cpu")

    def call(*more):
        assert run_module.main(["--data", str(data), "--out", str(tmp_path / "out"), *more]) == 0
        return json.loads((tmp_path / "out" / "robust.json").read_text())

    call.loaded = loaded
    return call


def test_sweeps_are_measured_written_and_judged(command, tmp_path, capsys):
    document = command("--only", "side,stale,wrong,theta", "--every", "2")
    assert document["complete"] is True and document["pairs"] == 5 and document["protocol"] == "128x256"
    assert document["command"].startswith("python -m benchmarks robust --data")
    sweeps = document["sweeps"]
    assert set(sweeps) == {"base", "side", "stale", "wrong", "theta"}
    # What turns something of the decoder's own takes every second place.
    assert {name: len(places) for name, places in sweeps.items()} == {
        "base": 5, "side": 5, "stale": 5, "wrong": 5, "theta": 3
    }  # fmt: skip
    rows = {(r["condition"], r["quality"]): r for r in sweeps["base"]["pairs_b/000040"]}
    with_side, without = rows["lossless", 2], rows["none", 2]
    assert with_side["lpips_vgg"] < without["lpips_vgg"]
    assert with_side["total_bytes"] == with_side["bytes"] + with_side["side_bytes"]
    assert without["side_bytes"] == 0 and without["mask_mean"] == 0
    assert rows["best-shift", 5]["bytes"] == 1 and "mask_mean" not in rows["side-copied", 5]
    assert with_side["bpp"] == pytest.approx(with_side["bytes"] * 8 / (128 * 256), abs=1e-6)
    shares = [r["mask_mean"] for r in sweeps["theta"]["pairs_b/000040"] if r["quality"] == 5]
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1] + 0.2
    # of the frames 0, 2, 4 and 6 of the sequence only the last has five frames behind it
    assert [place for place, found in sweeps["stale"].items() if found] == ["seq_a/000006"]
    assert [bar["name"] for bar in document["bars"]] == ["jpeg-50", "stale-2", "wrong"]
    assert all(bar["passed"] is not None for bar in document["bars"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "base.png", "robust.json", "side.png", "stale.png", "theta.png", "wrong.png"
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert "### Side view through a codec" in printed and "| side view JPEG 50 |" in printed
    assert "θ = 0.9" in printed and "5 of the data's pairs (--every 2)" in document["notes"]
    assert sum(line.startswith(("PASS", "FAIL")) for line in printed.splitlines()) == 3


def test_a_run_cut_short_goes_on(command, decoder, monkeypatch):
    real, places = run_module.measure, []

    def failing(place, *more):
        places.append(place.name)
        if len(places) == 4:
            raise KeyboardInterrupt
        return real(place, *more)

    monkeypatch.setattr(run_module, "measure", failing)
    with pytest.raises(KeyboardInterrupt):
        command("--only", "steps", "--every", "4")
    asked = len(decoder.requests)
    monkeypatch.setattr(run_module, "measure", real)
    document = command("--only", "steps", "--every", "4")
    assert document["complete"] and len(document["sweeps"]["steps"]) == 2
    assert len(decoder.requests) - asked == 2 * 6 * 2  # the references and nothing else were there already
    asked = len(decoder.requests)
    command("--only", "steps", "--every", "4")
    assert len(decoder.requests) == asked
    assert set(command("--only", "theta", "--every", "4")["sweeps"]) == {"base", "steps", "theta"}


def test_another_bundle_is_not_mixed_in(command):
    command("--only", "base", "--every", "9")
    command.loaded.about = command.loaded.about | {"id": "11" * 8}
    document = command("--only", "steps", "--every", "9")
    assert set(document["sweeps"]) == {"base", "steps"} and document["bundle"]["id"] == "11" * 8


def test_captions_run_where_there_are_any_and_say_so_elsewhere(command, decoder, capsys):
    document = command("--only", "captions", "--every", "9")
    assert "captions" not in document["sweeps"]
    assert "captions: skipped" in capsys.readouterr().out
    command.loaded.probe = Probe(command.loaded.probe._encoder, decoder, CaptionedRequest)
    document = command("--only", "captions", "--every", "9")
    asked = {r["caption"] for r in document["sweeps"]["captions"]["pairs_b/000040"]}
    assert {"", "car"} <= asked and asked <= {r.caption for r in decoder.requests if hasattr(r, "caption")}
    assert "skipped" not in capsys.readouterr().out


def test_without_sequences_the_stale_bar_is_open(command, capsys):
    document = command("--only", "stale", "--sequences", "none", "--every", "3")
    assert {bar["name"]: bar["passed"] for bar in document["bars"]}["stale-2"] is None
    printed = capsys.readouterr().out
    assert "the data holds no sequence" in printed and "No picture of the data allows this sweep." in printed


def test_masks_of_the_data_and_of_streets_are_two_files(command, monkeypatch):
    # Streets would take minutes to draw: none at all here.
    monkeypatch.setattr(run_module, "open_streets", lambda count, wide=False: [])
    kept = run_module.choose
    monkeypatch.setattr(run_module, "choose", lambda s, every, limit: kept(s, every, limit) if s else [])
    drawn = []

    def note(world, places, probe, quality, path):
        drawn.append((len(places), path.name))
        return path

    monkeypatch.setattr(run_module.masks, "draw", note)
    command("--only", "masks", "--every", "2")
    assert drawn == [(4, "masks.png"), (0, "masks-synthetic.png")]


def test_bad_options_are_named():
    with pytest.raises(UsageError, match="blur"):
        run_module.parse_only("side,blur")
    assert run_module.parse_only("masks") == ["masks"]
    assert run_module.parse_only("theta, side") == ["base", "side", "theta"]
    assert run_module.default_qualities(8) == "2,5" and run_module.default_qualities(1) == "0"


def test_the_digest_follows_the_code_that_decodes(tmp_path):
    for name in ("cloud/decoder.py", "cloud/models/a.py", "benchmarks/robust/scenes.py",
                 "benchmarks/robust/sidecodecs.py", "benchmarks/robust/sweeps.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = run_module.code_digest(tmp_path)
    (tmp_path / "cloud/training.py").write_text("2")
    assert run_module.code_digest(tmp_path) == before
    (tmp_path / "cloud/models/a.py").write_text("2")
    assert run_module.code_digest(tmp_path) != before
