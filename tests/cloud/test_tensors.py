"""cloud.tensors: weights come back, in eight bits within half a step, and damaged files are refused."""

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cloud.tensors import read_tensors, write_tensors
from common.errors import UsageError


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {
        "conv": torch.randn(5, 3, 2, 2) * torch.tensor([1.0, 9.0, 1e-3, 40.0, 0.0]).view(5, 1, 1, 1),
        "bias": torch.randn(5),
    }


def test_float16_comes_back(tmp_path, weights):
    write_tensors(tmp_path / "w", weights)
    for name, value in read_tensors(tmp_path / "w").items():
        assert value.dtype == torch.float32 and value.equal(weights[name].half().float()), name
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o644


def test_eight_bits_come_back_within_half_a_step_of_each_output(tmp_path, weights):
    write_tensors(tmp_path / "w", weights, {"conv"})
    assert {v.dtype for v in load_file(tmp_path / "w").values()} == {torch.int8, torch.float32, torch.float16}
    found = read_tensors(tmp_path / "w")
    assert found.keys() == weights.keys() and found["bias"].equal(weights["bias"].half().float())
    off = (found["conv"] - weights["conv"]).abs().flatten(1).amax(1)
    step = weights["conv"].abs().flatten(1).amax(1) / 127
    assert bool((off <= 0.501 * step).all()) and off[0] > 0 and not found["conv"][4].any()
    write_tensors(tmp_path / "again", found, {"conv"})
    assert read_tensors(tmp_path / "again")["conv"].equal(found["conv"])


@pytest.mark.parametrize("value", [torch.zeros(3), torch.full((2, 2), float("nan"))], ids=["vector", "nan"])
def test_what_eight_bits_cannot_hold_is_refused(tmp_path, value):
    with pytest.raises(UsageError, match="x cannot be written"):
        write_tensors(tmp_path / "w", {"x": value}, {"x"})
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "stored",
    [
        {"x": torch.zeros(2, 2, dtype=torch.int8)},
        {"x": torch.zeros(2, 2, dtype=torch.int8), "x.step": torch.zeros(3)},
        {"x": torch.zeros(2, 2, dtype=torch.int8), "x.step": torch.zeros(2, dtype=torch.int8)},
        {"x": torch.tensor(3, dtype=torch.int8), "x.step": torch.zeros(1)},
    ],
    ids=["none", "others", "no numbers", "scalar"],
)
def test_eight_bits_without_steps_that_fit_are_refused(tmp_path, stored):
    save_file(stored, tmp_path / "w")
    with pytest.raises(ValueError, match="has no steps that fit"):
        read_tensors(tmp_path / "w")


def test_a_damaged_or_missing_file_is_told(tmp_path):
    (tmp_path / "w").write_bytes(b"no tensors")
    with pytest.raises(SafetensorError):
        read_tensors(tmp_path / "w")
    with pytest.raises(OSError, match="none"):
        read_tensors(tmp_path / "none")
