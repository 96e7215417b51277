"""`mdic-cloud quantise`: a smaller bundle, and what it says."""

import pytest
import torch

from cloud.export import write_bundle
from cloud.models.codec import Codec, ModelConfig
from cloud.quantise import main
from common.bundle import Bundle
from common.errors import BundleNotFound, UsageError


def test_the_command_writes_a_smaller_bundle_and_says_so(tmp_path, capsys):
    torch.manual_seed(0)
    source = write_bundle(
        Codec(ModelConfig(latent_channels=4, hyper_channels=2)), tmp_path / "tiny", "tiny", {}
    )
    asked = ["--bundle", str(source.path), "--out"]
    assert main([*asked, str(tmp_path / "small")]) == 0
    made = Bundle.load(tmp_path / "small")
    before, after = (one.file("decoder.safetensors").stat().st_size / 1e6 for one in (source, made))
    said = capsys.readouterr().out
    assert f"{before:.1f} to {after:.1f} MB" in said and made.hex in said and after < 0.7 * before
    with pytest.raises(UsageError, match="another folder"):
        main([*asked, str(source.path)])
    with pytest.raises(BundleNotFound):
        main(["--bundle", str(tmp_path / "none"), "--out", str(tmp_path / "other")])
