"""The command: plans, refuses, and runs small on the CPU, as a module and as a script."""

import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch (extra cloud) is not installed")
pytest.importorskip("diffusers", reason="diffusers (extra cloud) is not installed")

from benchmarks import gpu_decode  # noqa: E402
from benchmarks.gpu.timing import CPU_VARIANTS, CUDA_VARIANTS, Variant  # noqa: E402
from common.errors import MissingDependency, UsageError  # noqa: E402

CLOCK = {"warm_up": 0, "repeat": 5, "seconds": 0.0}


def test_small_runs_on_the_cpu_and_says_what_it_is(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    argv = [
        "--small",
        "--device",
        "cpu",
        "--sizes",
        "64x64",
        "--steps",
        "1",
        "--repeat",
        "5",
        "--seconds",
        "0",
    ]
    assert gpu_decode.main([*argv, "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document["complete"] is True and document["device"].startswith("CPU")
    assert document["torch"] == torch.__version__
    assert document["ours"]["weights"] == "random" and document["reference"]["tiny"] is True
    rows = {(r["what"], r["variant"]): r for r in document["rows"]}
    assert set(rows) == {("ours", "fp32"), ("ours", "fp32-contiguous"), ("reference", "fp32")}
    assert all(r["median_ms"] > 0 and r["p95_ms"] >= r["median_ms"] for r in rows.values())
    assert rows["ours", "fp32"]["psnr_to_fp32"] == 100.0
    assert document["goal"]["reached"] is None
    printed = capsys.readouterr().out
    assert "not measured here" in printed and "SCALED-DOWN" in printed


def test_it_starts_as_a_script_from_anywhere(root, tmp_path):
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "gpu_decode.py"), "--steps", "0", "--small"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "error: --steps '0': expected numbers from 1 up, separated by commas",
    )


def test_the_plan_times_every_case_and_compiles_for_few():
    plan = gpu_decode.jobs([(128, 256)], (1, 4), (1, 2), CUDA_VARIANTS, True, True, (1,))
    ours = [j for j in plan if j["what"] == "ours"]
    compiled = sum(v.compiled for v in CUDA_VARIANTS)
    assert len(ours) == 2 * len(CUDA_VARIANTS) + 2 * (len(CUDA_VARIANTS) - compiled)
    assert {j["batch"] for j in ours if j["how"].compiled} == {1}
    theirs = [(j["batch"], j["variant"]) for j in plan if j["what"] == "reference"]
    assert theirs == [
        (1, "fp16"),
        (1, "fp16-graph"),
        (1, "fp16-compile-graph"),
        (4, "fp16"),
        (4, "fp16-graph"),
    ]
    assert {j["steps"] for j in plan if j["what"] == "reference"} == {10}
    on_cpu = gpu_decode.jobs([(128, 256)], (1,), (1,), CPU_VARIANTS, True, False, (1,))
    assert [j["variant"] for j in on_cpu if j["what"] == "reference"] == ["fp32"]
    assert not [
        j
        for j in gpu_decode.jobs([(64, 64)], (1,), (1,), CPU_VARIANTS, False, False, ())
        if j["what"] != "ours"
    ]


class Broken:
    """A subject that only its plain variant can run."""

    def inputs(self, height, width, batch):
        return ()

    def call(self, variant, inputs, steps):
        def run():
            if variant.precision != "fp32" or steps > 1:
                raise RuntimeError("not\nhere")
            return torch.zeros(1, 3, 8, 8)

        return run


def job(variant, steps=1):
    return {
        "what": "ours",
        "height": 64,
        "width": 64,
        "batch": 1,
        "steps": steps,
        "variant": variant.name,
        "how": variant,
    }


def test_a_variant_that_fails_is_a_row_and_the_served_one_an_error():
    cpu = torch.device("cpu")
    row = gpu_decode.run_job(Broken(), job(Variant("fp16", "fp16")), cpu, CLOCK)
    assert row["failed"] == "RuntimeError: not here" and "median_ms" not in row and "how" not in row
    assert gpu_decode.run_job(Broken(), job(CPU_VARIANTS[0]), cpu, CLOCK)["runs"] == 5
    with pytest.raises(RuntimeError):
        gpu_decode.run_job(Broken(), job(CPU_VARIANTS[0], steps=2), cpu, CLOCK)


def test_the_full_run_does_not_land_on_a_cpu_unasked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--small"):
        gpu_decode.pick_device("auto", small=False, sized=False)
    with pytest.raises(UsageError, match="no CUDA device"):
        gpu_decode.pick_device("cuda", small=True, sized=False)
    assert gpu_decode.pick_device("cpu", small=False, sized=False).type == "cpu"
    assert gpu_decode.pick_device("auto", small=False, sized=True).type == "cpu"
    assert gpu_decode.make_reference("auto", torch.device("cpu"), small=False) is None


def test_without_diffusers_a_line_says_what_to_bring(monkeypatch):
    real = gpu_decode.importlib.util.find_spec
    monkeypatch.setattr(
        gpu_decode.importlib.util,
        "find_spec",
        lambda name, *a: None if name == "diffusers" else real(name, *a),
    )
    with pytest.raises(MissingDependency, match="wheels of diffusers and importlib_metadata") as caught:
        gpu_decode.main(["--small"])
    assert caught.value.exit_code == MissingDependency.exit_code
