"""cloud.weights: what is written comes back, and anything else is told in one error."""

import json

import pytest
import torch
from torch import nn

from cloud.weights import load_network, save_network
from common.errors import BundleCorrupt, BundleNotFound


@pytest.fixture
def kept(tmp_path):
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    save_network(network, tmp_path / "folder", "tiny", {"classes": ["a", "b"], "training": {"steps": 3}})
    return network, tmp_path / "folder"


def test_weights_come_back_as_float16_for_use(kept):
    network, folder = kept
    other = nn.Linear(3, 2)
    load_network(other, folder, "tiny", expected={"classes": ["a", "b"]})
    assert torch.equal(other.weight, network.weight.half().float())
    assert not other.training and not other.weight.requires_grad
    facts = json.loads((folder / "tiny.json").read_text())
    assert facts["training"] == {"steps": 3} and len(facts["sha256"]) == 64


@pytest.mark.parametrize("name", ["tiny.safetensors", "tiny.json"])
def test_a_missing_file_is_told(kept, name):
    (kept[1] / name).unlink()
    with pytest.raises(BundleNotFound, match="tiny"):
        load_network(nn.Linear(3, 2), kept[1], "tiny")


def test_damaged_weights_are_told(kept):
    path = kept[1] / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleCorrupt, match="SHA-256"):
        load_network(nn.Linear(3, 2), kept[1], "tiny")


def test_another_network_or_other_facts_are_told(kept):
    with pytest.raises(BundleCorrupt):
        load_network(nn.Linear(4, 2), kept[1], "tiny")
    with pytest.raises(BundleCorrupt, match="classes"):
        load_network(nn.Linear(3, 2), kept[1], "tiny", expected={"classes": ["b"]})


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json"])
def test_facts_that_are_none_are_told(kept, text):
    (kept[1] / "tiny.json").write_text(text)
    with pytest.raises(BundleCorrupt):
        load_network(nn.Linear(3, 2), kept[1], "tiny")
