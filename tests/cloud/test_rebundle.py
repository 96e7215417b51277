"""cloud.rebundle: another decoder for the same payloads."""

import shutil

import numpy as np
import pytest
import torch

from cloud.decoder import Decoder, DecodeRequest
from cloud.export import main, write_bundle
from cloud.models.codec import Codec, ModelConfig
from cloud.rebundle import manifest_text, replace_decoder
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.bundle import Bundle
from common.errors import BundleNotFound, UsageError
from edge.encoder import Encoder

CONFIG = ModelConfig(latent_channels=4, hyper_channels=2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    return write_bundle(Codec(CONFIG), tmp_path_factory.mktemp("old") / "tiny", "tiny", {"steps": 1})


def trained(bundle):
    """Return weights that differ from the bundle's in all but the encoder."""
    weights = Decoder(bundle, "cpu").model.state_dict()
    return {k: v.clone() if k.startswith("analysis.") else v + 0.25 for k, v in weights.items()}


def test_payloads_stay_and_the_picture_changes(bundle, tmp_path):
    new = replace_decoder(bundle, tmp_path / "new", trained(bundle), CONFIG, {"steps": 2})
    assert Bundle.load(tmp_path / "new").id == new.id != bundle.id
    assert new.manifest["training"] == {"steps": 2} and new.name == "tiny"
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    payloads, views = [], []
    for one in (bundle, new):
        packet = Encoder(one, threads=1).encode(image, 3).packet
        payloads.append(Packet.parse(packet, SessionFacts(one.id, 64, 128)).payload)
        views.append(Decoder(one, "cpu").decode(DecodeRequest(packet, 64, 128, image)).image)
    assert payloads[0] == payloads[1], "only the check, which knows the bundle, is another"
    assert not np.array_equal(*views)


def test_a_share_lies_between(bundle, tmp_path):
    old = Decoder(bundle, "cpu").model.state_dict()
    new = replace_decoder(bundle, tmp_path / "new", trained(bundle), CONFIG, {}, share=0.5, name="half")
    got = Decoder(new, "cpu").model.state_dict()
    name = "pixels.fuse.weight"
    torch.testing.assert_close(got[name], old[name] + 0.125, atol=1e-3, rtol=0)
    assert new.name == "half" and got["analysis.head.weight"].equal(old["analysis.head.weight"])


def test_sizes_to_code_at_are_taken_over(bundle, tmp_path):
    sizes = [{"pixels": 16384, "scale": [4] * 8, "quality": list(range(8))}]
    tables = {key: bundle.manifest[key] for key in ("codec", "model", "training")} | {"resampling": sizes}
    source = tmp_path / "source"
    shutil.copytree(bundle.path, source)
    (source / "manifest.toml").write_text(
        manifest_text("tiny", tables, list(bundle.manifest["files"]), source)
    )
    resampled = Bundle.load(source)
    assert resampled.manifest["format"] == 2 and resampled.coded_view(3, 64, 128).height == 128
    new = replace_decoder(resampled, tmp_path / "new", trained(bundle), CONFIG, {})
    assert new.manifest["resampling"] == sizes and new.coded_view(3, 64, 128).height == 128
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    frame = Encoder(new, threads=1).encode(image, 3)
    assert (frame.height, frame.view.height) == (64, 128) and frame.coded.y_hat.shape == (4, 8, 16)
    assert Decoder(new, "cpu").decode(DecodeRequest(frame.packet, 64, 128, image)).image.shape == image.shape


def test_another_encoder_another_model_and_no_share_are_refused(bundle, tmp_path):
    weights = trained(bundle)
    with pytest.raises(UsageError, match="another encoder"):
        moved = weights | {"analysis.head.weight": weights["analysis.head.weight"] + 1}
        replace_decoder(bundle, tmp_path / "new", moved, CONFIG, {})
    with pytest.raises(UsageError, match=r"different models: see pixels\.fuse\.weight"):
        less = {k: v for k, v in weights.items() if k != "pixels.fuse.weight"}
        replace_decoder(bundle, tmp_path / "new", less, CONFIG, {})
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="share"):
            replace_decoder(bundle, tmp_path / "new", weights, CONFIG, {}, share=share)
    with pytest.raises(UsageError, match="another folder"):
        replace_decoder(bundle, bundle.path, weights, CONFIG, {})
    assert not (tmp_path / "new").exists() and Bundle.load(bundle.path).id == bundle.id


def test_the_command_checks_its_options_before_it_reads(tmp_path):
    with pytest.raises(UsageError, match="--share goes with --decoder-of"):
        main(["none", str(tmp_path / "b"), "--share", "0.5"])
    with pytest.raises(UsageError, match="--tables"):
        main(["none", str(tmp_path / "b"), "--decoder-of", "compact", "--tables", "compact"])
    with pytest.raises(BundleNotFound):
        main(["none", str(tmp_path / "b"), "--decoder-of", str(tmp_path / "nothing")])
