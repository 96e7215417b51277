"""cloud.rebundle: a refinement, an illumination and context tables, and what is kept of all else."""

import shutil

import numpy as np
import pytest
import torch
from tiny_bundles import CONFIG, SIZES, context_arrays, light, refinement, trained, with_sizes

from cloud.decoder import Decoder, DecodeRequest
from cloud.export import write_bundle
from cloud.models.codec import Codec
from cloud.models.refiner import Refiner
from cloud.rebundle import (
    add_contexts,
    add_illumination,
    add_refinement,
    manifest_text,
    take_illumination,
)
from cloud.reweight import replace_decoder
from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.errors import BundleCorrupt, UsageError
from edge.encoder import Encoder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    return write_bundle(Codec(CONFIG), tmp_path_factory.mktemp("old") / "tiny", "tiny", {"steps": 1})


def test_context_tables_change_bytes_and_nothing_else(bundle, tmp_path):
    lit = add_illumination(
        with_sizes(bundle, tmp_path / "source"), tmp_path / "lit", light([(0, 0, 0)]), {"n": 1}
    )
    sizes = [SIZES[0] | {"contexts": [0, 1] * 4}]
    made = add_contexts(lit, tmp_path / "made", context_arrays(), sizes, {"frames": 7})
    assert made.manifest["format"] == 5 and made.manifest["resampling"] == sizes
    assert made.manifest["contexts"] == {"frames": 7} and made.manifest["illumination"] == {"n": 1}
    for name in lit.manifest["files"]:
        same = made.file(name).read_bytes() == lit.file(name).read_bytes()
        assert same == (name != "entropy.safetensors")
        assert made.file(name).stat().st_mode & 0o777 == 0o644
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    for quality in (2, 3):
        frames = [Encoder(one, threads=1).encode(image, quality) for one in (lit, made)]
        assert frames[0].coded.payload != frames[1].coded.payload
        views = [
            Decoder(one, "cpu").decode(DecodeRequest(frame.packet, 64, 128, image)).image
            for one, frame in zip((lit, made), frames, strict=True)
        ]
        np.testing.assert_array_equal(*views)


def test_all_else_that_is_done_to_a_bundle_keeps_its_context_tables(bundle, tmp_path):
    sizes = [SIZES[0] | {"contexts": [0] * 8}]
    source = with_sizes(bundle, tmp_path / "source")
    made = add_contexts(source, tmp_path / "made", context_arrays(), sizes, {"frames": 7})
    others = (
        add_illumination(made, tmp_path / "lit", light([(0, 2, 0)]), {}),
        add_refinement(made, tmp_path / "fine", refinement(), Refiner().state_dict(), {}),
        replace_decoder(made, tmp_path / "new", trained(bundle), CONFIG, {}),
    )
    for other in others:
        assert other.manifest["resampling"] == sizes and other.manifest["contexts"] == {"frames": 7}
        assert LatentCodec.of(other).contexts.sets == 2
    again = add_contexts(others[0], tmp_path / "again", context_arrays(), sizes, {"frames": 8})
    assert again.manifest["contexts"] == {"frames": 8}


def test_context_tables_that_are_not_there_or_broken_are_refused(bundle, tmp_path):
    source = with_sizes(bundle, tmp_path / "source")
    sizes = [SIZES[0] | {"contexts": [2] * 8}]
    with pytest.raises(BundleCorrupt, match="asks for 3 sets of context tables of 2"):
        add_contexts(source, tmp_path / "a", context_arrays(), sizes, {})
    asks = with_sizes(bundle, tmp_path / "asks", sizes)
    for opened in (lambda one: Encoder(one, threads=1), lambda one: Decoder(one, "cpu")):
        with pytest.raises(BundleCorrupt, match="asks for 3 sets of context tables of 0"):
            opened(asks)
    with pytest.raises(UsageError, match="another folder"):
        add_contexts(source, source.path, context_arrays(), sizes, {})


def test_sizes_to_code_at_are_taken_over(bundle, tmp_path):
    resampled, sizes = with_sizes(bundle, tmp_path / "source"), SIZES
    assert resampled.manifest["format"] == 2 and resampled.coded_view(3, 64, 128).height == 128
    new = replace_decoder(resampled, tmp_path / "new", trained(bundle), CONFIG, {})
    assert new.manifest["resampling"] == sizes and new.coded_view(3, 64, 128).height == 128
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    frame = Encoder(new, threads=1).encode(image, 3)
    assert (frame.height, frame.view.height) == (64, 128) and frame.coded.y_hat.shape == (4, 8, 16)
    assert Decoder(new, "cpu").decode(DecodeRequest(frame.packet, 64, 128, image)).image.shape == image.shape


def test_an_illumination_changes_the_tables_and_nothing_else(bundle, tmp_path):
    resampled = with_sizes(bundle, tmp_path / "source")
    lit = add_illumination(resampled, tmp_path / "lit", light([(0, 0, 0), (2, 0, 1)]), {"pairs": 9})
    assert Bundle.load(tmp_path / "lit").id == lit.id != resampled.id
    assert lit.manifest["format"] == 3 and lit.manifest["illumination"] == {"pairs": 9}
    assert lit.coded_view(3, 64, 128).height == 128
    for table in ("name", "codec", "model", "training", "resampling"):
        assert lit.manifest[table] == resampled.manifest[table]
    assert list(lit.manifest["files"]) == list(resampled.manifest["files"])
    for name in lit.manifest["files"]:
        same = lit.file(name).read_bytes() == resampled.file(name).read_bytes()
        assert same == (name != "entropy.safetensors")
        assert lit.file(name).stat().st_mode & 0o777 == 0o644
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    frame = Encoder(lit, threads=1).encode(image, 3)
    plain = Encoder(resampled, threads=1).encode(image, 3)
    np.testing.assert_array_equal(frame.coded.y_hat, plain.coded.y_hat)
    told = Decoder(lit, "cpu").coded(frame.packet, 64, 128).light
    assert told.waves == [(0, 0, 0), (2, 0, 1)]
    np.testing.assert_array_equal(told.levels, frame.coded.symbols.illumination.levels)


def test_another_illumination_takes_the_place_of_the_first(bundle, tmp_path):
    first = add_illumination(bundle, tmp_path / "a", light([(0, 0, 0), (2, 0, 1)]), {"pairs": 9})
    second = add_illumination(first, tmp_path / "b", light([(1, 3, 3)], step=100), {"note": "again"})
    codec = LatentCodec.from_bundle_file(second.file("entropy.safetensors"))
    assert codec.illumination.waves == [(1, 3, 3)] and codec.illumination.count(7) == 1
    assert second.manifest["illumination"] == {"note": "again"} and second.manifest["format"] == 3
    direct = add_illumination(bundle, tmp_path / "c", light([(1, 3, 3)], step=100), {"note": "again"})
    assert direct.id == second.id, "nothing is left of the first"
    assert add_illumination(first, tmp_path / "c", light([(0, 0, 0)]), {}).path == tmp_path / "c"


def test_resampling_tables_say_how_many_waves_as_far_as_there_are_so_many(bundle, tmp_path):
    counted = [SIZES[0] | {"waves": [0, 0, 0, 2, 1, 1, 1, 1]}]
    lit = add_illumination(
        with_sizes(bundle, tmp_path / "source", counted), tmp_path / "lit", light([(0, 0, 0), (2, 0, 1)]), {}
    )
    assert lit.manifest["format"] == 4 and lit.manifest["resampling"] == counted
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    for quality, count in ((2, 0), (3, 2), (4, 1)):
        frame = Encoder(lit, threads=1).encode(image, quality)
        told = Decoder(lit, "cpu").coded(frame.packet, 64, 128).light
        assert len(told.waves) == count
        np.testing.assert_array_equal(told.levels, frame.coded.symbols.illumination.levels)
    again = add_illumination(lit, tmp_path / "again", light([(1, 3, 3)]), {})
    assert again.manifest["resampling"][0]["waves"] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert lit.manifest["resampling"] == counted, "nothing of the first changes"


def test_a_bundle_that_asks_for_more_waves_than_it_has_is_corrupt(bundle, tmp_path):
    lit = add_illumination(bundle, tmp_path / "lit", light([(0, 0, 0)]), {"n": 1})
    for source, name in ((lit, "one"), (bundle, "none")):
        folder = shutil.copytree(source.path, tmp_path / name)
        facts = {
            key: source.manifest[key] for key in source.manifest if key in ("codec", "model", "training")
        }
        facts |= {"resampling": [SIZES[0] | {"waves": [0] * 7 + [2]}]}
        facts |= {"illumination": {"n": 1}} if source is lit else {}
        files = list(source.manifest["files"])
        (folder / "manifest.toml").write_text(manifest_text("tiny", facts, files, folder))
        for opened in (lambda one: Encoder(one, threads=1), lambda one: Decoder(one, "cpu")):
            with pytest.raises(BundleCorrupt, match="asks for 2 waves"):
                opened(Bundle.load(folder))


def test_a_new_decoder_and_a_refinement_keep_the_illumination(bundle, tmp_path):
    lit = add_illumination(
        with_sizes(bundle, tmp_path / "source"), tmp_path / "lit", light([(0, 2, 0)]), {"n": 1}
    )
    trained_further = replace_decoder(lit, tmp_path / "new", trained(bundle), CONFIG, {"steps": 2})
    refined = add_refinement(
        trained_further, tmp_path / "fine", refinement(), Refiner().state_dict(), {"n": 2}
    )
    again = add_illumination(refined, tmp_path / "again", light([(0, 0, 2)]), {"n": 3})
    for new in (trained_further, refined, again):
        assert new.manifest["format"] == 3 and new.manifest["resampling"] == SIZES
        assert new.manifest["training"] == {"steps": 2}
    assert [new.manifest["illumination"]["n"] for new in (trained_further, refined, again)] == [1, 1, 3]
    assert trained_further.file("entropy.safetensors").read_bytes() == (
        lit.file("entropy.safetensors").read_bytes()
    )
    codecs = [LatentCodec.from_bundle_file(one.file("entropy.safetensors")) for one in (refined, again)]
    assert [codec.illumination.waves for codec in codecs] == [[(0, 2, 0)], [(0, 0, 2)]]
    assert all(codec.is_refined(7) for codec in codecs) and again.manifest["refinement"] == {"n": 2}
    assert again.file("refiner.safetensors").read_bytes() == refined.file("refiner.safetensors").read_bytes()


def test_an_illumination_is_not_written_over_its_bundle_nor_with_broken_arrays(bundle, tmp_path):
    with pytest.raises(UsageError, match="another folder"):
        add_illumination(bundle, bundle.path, light([(0, 0, 0)]), {})
    assert Bundle.load(bundle.path).id == bundle.id
    with pytest.raises(BundleCorrupt, match="light_step"):
        add_illumination(bundle, tmp_path / "bad", light([(0, 0, 0)], step=0), {})
    assert not (tmp_path / "bad").exists()


def test_an_illumination_is_taken_over_from_another_bundle(bundle, tmp_path):
    lit = add_illumination(bundle, tmp_path / "lit", light([(0, 2, 0)]), {"n": 1})
    mine = Bundle.load(shutil.copytree(bundle.path, tmp_path / "mine"))
    assert take_illumination(mine, bundle) is mine, "the other has none"
    got = take_illumination(mine, lit)
    assert (got.path, got.id) == (mine.path, lit.id) and not (tmp_path / "mine.partial").exists()


def test_manifest_and_tables_must_agree_about_an_illumination(bundle, tmp_path):
    """Each end opens the codec by its bundle: one that overlooked the waves would read other pictures."""
    lit = add_illumination(bundle, tmp_path / "lit", light([(0, 0, 0)]), {"n": 1})
    for source, tables in ((lit, {}), (bundle, {"illumination": {"n": 1}})):
        folder = shutil.copytree(source.path, tmp_path / f"wrong{len(tables)}")
        facts = {key: bundle.manifest[key] for key in ("codec", "model", "training")} | tables
        files = list(bundle.manifest["files"])
        (folder / "manifest.toml").write_text(manifest_text("tiny", facts, files, folder))
        wrong = Bundle.load(folder)
        for opened in (lambda one: Encoder(one, threads=1), lambda one: Decoder(one, "cpu")):
            with pytest.raises(BundleCorrupt, match="not in both"):
                opened(wrong)
