"""Weights are found, or missed with a sentence; a damaged file is an error."""

import pytest
import torch

from benchmarks.downstream.teachers import (
    TEACHERS_VARIABLE,
    fill,
    find_weights,
    read_state_dict,
    teachers_folder,
)
from common.errors import BundleCorrupt, UsageError


def test_the_option_goes_before_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv(TEACHERS_VARIABLE, raising=False)
    assert teachers_folder(None) is None
    monkeypatch.setenv(TEACHERS_VARIABLE, str(tmp_path / "nowhere"))
    assert teachers_folder(tmp_path) == tmp_path
    with pytest.raises(UsageError, match="nowhere is no folder"):
        teachers_folder(None)


def test_what_is_missing_is_said(tmp_path):
    assert find_weights(None, "a.pth", "segmenter") == (
        None,
        f"segmenter skipped: no weights (give --teachers FOLDER or set {TEACHERS_VARIABLE})",
    )
    assert "holds no a.pth" in find_weights(tmp_path, "a.pth", "segmenter")[1]
    (tmp_path / "a.pth").touch()
    assert find_weights(tmp_path, "a.pth", "segmenter") == (tmp_path / "a.pth", "")


def test_state_dicts_are_read_and_loaded_strictly(tmp_path):
    path, network = tmp_path / "a.pth", torch.nn.Linear(2, 1)
    torch.save(network.state_dict(), path)
    other = fill(torch.nn.Linear(2, 1), read_state_dict(path), path)
    assert torch.equal(other.weight, network.weight)
    assert not other.training and not other.weight.requires_grad
    with pytest.raises(BundleCorrupt, match=r"a\.pth"):
        fill(torch.nn.Linear(3, 1), read_state_dict(path), path)


def test_other_files_are_errors(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"not weights")
    with pytest.raises(BundleCorrupt, match="not readable as weights"):
        read_state_dict(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(BundleCorrupt, match="other than a state dict"):
        read_state_dict(path)
    torch.save(torch.nn.Linear(1, 1), path)  # a whole module would have to be unpickled
    with pytest.raises(BundleCorrupt):
        read_state_dict(path)
