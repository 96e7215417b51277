"""benchmarks.rd.networks: weights that are missing or damaged are told."""

import pytest

from benchmarks.rd.metrics import Judge
from benchmarks.rd.networks import WEIGHTS_VARIABLE, MetricWeightsMissing, replaced
from common.errors import BundleCorrupt


def test_missing_weights_say_where_and_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("lpips", reason="lpips (extra bench) is not installed")
    pytest.importorskip("torchvision", reason="torchvision (extra bench) is not installed")
    with pytest.raises(MetricWeightsMissing, match="nowhere"):
        Judge(weights=tmp_path / "nowhere")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(MetricWeightsMissing, match=f"vgg16.*{WEIGHTS_VARIABLE}") as caught:
        Judge(("lpips_vgg",))
    assert caught.value.exit_code == 50
    assert "\n" not in str(caught.value)
    (tmp_path / "vgg16_features_torchvision.safetensors").write_bytes(b"not weights")
    with pytest.raises(BundleCorrupt, match="vgg16"):
        Judge(("lpips_vgg",))


def test_a_replaced_attribute_comes_back():
    class Owner:
        kept = 1

    owner = Owner()
    with replaced(Owner, "kept", 2), replaced(owner, "kept", 3):
        assert (Owner.kept, owner.kept) == (2, 3)
    assert (Owner.kept, vars(owner)) == (1, {})
