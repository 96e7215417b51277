"""The whole command on synthetic streets; its options; what a second call does."""

import json

import pytest

from benchmarks.ablation import retrain
from benchmarks.ablation import run as run_module
from common.errors import BundleError, DatasetError, UsageError


@pytest.mark.slow
def test_smoke(perceptual_folder, tmp_path, capsys, monkeypatch):
    out, path = tmp_path / "runs", tmp_path / "result.json"
    argv = ["--smoke", "--group", "entropy", "--variants", "b", "--metric-weights", str(perceptual_folder)]
    argv += ["--out", str(out), "--json", str(path), "--metrics", "psnr,ms_ssim_db", "--device", "cpu"]
    assert run_module.main(argv) == 0
    found = json.loads(path.read_text())
    assert found == json.loads((out / "ablation.json").read_text())
    assert (found["complete"], found["smoke"], found["group"], found["pairs"]) == (True, True, "entropy", 1)
    assert {"cpu", "cores"} <= set(found["machine"]) and found["seed"] == 0 and found["budget"]["steps"] == 2
    assert [v["name"] for v in found["variants"]] == ["fsq-table", "hyperprior"]
    for entry in found["variants"]:
        assert entry["training"]["steps"] == 2 and [p["quality"] for p in entry["points"]] == [0, 7]
        assert all(row["bytes"] > 3 for row in entry["images"])
    assert set(found["variants"][0]["against_reference"]) == {"psnr", "ms_ssim_db"}
    assert (out / "entropy.png").stat().st_size > 10_000
    assert "(c) scalar latents, integer hyperprior" in capsys.readouterr().out
    # Nothing is trained or judged twice.
    monkeypatch.setattr(retrain, "Trainer", None)
    monkeypatch.setattr(retrain, "averaged", None)
    run_module.main(argv)
    again = json.loads(path.read_text())
    assert again["variants"] == found["variants"]


BASE = ["--metric-weights", "w", "--out", "o"]


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ([], "one budget"),
        (["--budget-steps", "3", "--budget-minutes", "1"], "one budget"),
        (["--budget-steps", "0"], "one budget"),
        (["--budget-steps", "3"], "--data"),
        (["--budget-steps", "3", "--data", "d"], "--hold-out"),
        (["--budget-steps", "3", "--data", "d", "--eval", "e", "--hold-out", "a"], "--hold-out"),
        (["--budget-steps", "3", "--data", "d", "--eval", "e", "--every", "0"], "--every"),
        (["--budget-steps", "3", "--data", "d", "--eval", "e", "--from", "nowhere"], "nowhere"),
        (["--variants", "no-such"], "no-such"),
        (["--metrics", "vmaf"], "vmaf"),
    ],
)
def test_bad_options_are_named(argv, why):
    with pytest.raises(UsageError, match=why):
        run_module.main([*BASE, *argv])


def test_a_folder_that_is_not_there_is_named_before_anything_is_trained(tmp_path):
    (tmp_path / "seq_a" / "left").mkdir(parents=True)
    argv = [*BASE, "--budget-steps", "3", "--data", str(tmp_path), "--hold-out", "seq_z"]
    with pytest.raises(DatasetError, match="seq_z"):
        run_module.main(argv)


def test_a_start_folder_that_is_no_bundle_is_named_before_anything_is_read(tmp_path):
    argv = [*BASE, "--budget-steps", "3", "--data", "d", "--eval", "e", "--from", str(tmp_path)]
    with pytest.raises(BundleError, match=tmp_path.name):
        run_module.main(argv)


def test_what_is_judged_is_not_trained_on(tmp_path):
    (tmp_path / "seq_a" / "left").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    assert run_module._scene_names(tmp_path) == {"seq_a"}
    assert run_module._scene_names(tmp_path / "seq_a") == {"seq_a"}
    assert run_module._scene_names(None) == set()
