"""cloud.export: tables are distributions, the bundle opens, damage to the graph is noticed."""

import numpy as np
import pytest
import torch

from cloud.decoder import Decoder
from cloud.export import check_parity, entropy_arrays, write_bundle, z_tables
from cloud.models.codec import Codec, ModelConfig
from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.errors import BundleCorrupt, UsageError
from edge.encoder import Encoder


def small_model():
    torch.manual_seed(0)
    return Codec(ModelConfig(latent_channels=4, hyper_channels=2))


def test_z_tables_follow_mean_and_scale():
    tables = z_tables(np.array([[0.0, 3.0]]), np.array([[0.5, 2.0]]), 8)
    assert tables.shape == (1, 2, 19) and (np.diff(tables) > 0).all() and (tables[..., -1] == 65536).all()
    likely = np.diff(tables[0]).argmax(-1) - 8
    assert likely.tolist() == [0, 3]


def test_entropy_arrays_satisfy_the_bitstream():
    arrays = entropy_arrays(small_model())
    codec = LatentCodec(arrays)
    assert codec.latent_channels == 4 and codec.qualities == 8


def test_an_exported_bundle_encodes_and_decodes(tmp_path):
    bundle = write_bundle(small_model(), tmp_path / "tiny", "tiny", {"steps": 0})
    assert Bundle.load(tmp_path / "tiny").id == bundle.id
    image = np.full((70, 90, 3), 90, np.uint8)
    packet = Encoder(bundle, threads=1).encode(image, 1).packet
    coded = Decoder(bundle, "cpu").coded(packet, 70, 90)
    assert (coded.quality, coded.latents, coded.refinement) == (1, 1, None) and coded.y_hat.shape == (4, 8, 8)


def test_a_wrong_graph_is_noticed(tmp_path):
    model = small_model()
    write_bundle(model, tmp_path / "tiny", "tiny", {})
    with torch.no_grad():
        model.analysis.head.weight.add_(0.1)
    with pytest.raises(BundleCorrupt, match=r"encoder\.onnx"):
        check_parity(model, tmp_path / "tiny")


def test_what_has_no_bitstream_is_not_exported(tmp_path):
    model = Codec(ModelConfig(latent_channels=4, hyper_channels=2, entropy="checkerboard"))
    with pytest.raises(UsageError, match="checkerboard"):
        write_bundle(model, tmp_path / "b", "b", {})
    assert not (tmp_path / "b").exists()
