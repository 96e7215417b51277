"""cloud.rebundle: another decoder for the same payloads, an illumination, and what is kept of all else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cloud.decoder import Decoder, DecodeRequest
from cloud.export import main, write_bundle
from cloud.models.codec import Codec, ModelConfig
from cloud.models.refiner import Refiner
from cloud.networks import DECODER, DOUBLED, LARGE
from cloud.rebundle import (
    add_contexts,
    add_illumination,
    add_refinement,
    add_weights,
    manifest_text,
    quantise_decoder,
    replace_decoder,
    take_illumination,
)
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.entropy.tables import laplace_tables
from common.errors import BundleCorrupt, BundleNotFound, UsageError
from edge.encoder import Encoder

CONFIG = ModelConfig(latent_channels=4, hyper_channels=2)
REFINED = Path(__file__).parents[1] / "vectors" / "v1" / "tables-refined.json"


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


SIZE = 200_000
"""Bytes of an addition: its weights differ from the old ones by a constant, which is one direction a matrix."""
SIZES = [{"pixels": 16384, "scale": [4] * 8, "quality": list(range(8))}]


def with_sizes(bundle, folder, sizes=SIZES):
    """Write the bundle into a folder, with frames coded at double size."""
    tables = {key: bundle.manifest[key] for key in ("codec", "model", "training")} | {"resampling": sizes}
    shutil.copytree(bundle.path, folder)
    files = list(bundle.manifest["files"])
    (folder / "manifest.toml").write_text(manifest_text("tiny", tables, files, folder))
    return Bundle.load(folder)


def light(waves, step=41):
    """Return an illumination's arrays, all waves sent at every quality."""
    count = len(waves)
    return {
        "light_wave": np.array(waves, np.int32),
        "light_step": np.full(count, step, np.int32),
        "light_mean": np.zeros(count, np.int32),
        "light_count": np.full(8, count, np.int32),
        "light_cdf": laplace_tables(np.full(count, 5.0), 15),
    }


def refinement():
    """Return a refinement's arrays for four latent channels."""
    stored = json.loads(REFINED.read_text()).items()
    return {
        name: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for name, v in stored if "refine_" in name
    }


def context_arrays():
    """Return two sets of context tables for four latent channels."""
    stored = json.loads((REFINED.parent / "tables-context.json").read_text()).items()
    return {
        name: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for name, v in stored if "context_" in name
    }


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
    with pytest.raises(UsageError, match="--share, --doubled and --large go with --decoder-of"):
        main(["none", str(tmp_path / "b"), "--share", "0.5"])
    with pytest.raises(UsageError, match="one, then the other"):
        main(["none", "b", "--decoder-of", "compact", "--doubled", "1", "--large", "1"])
    with pytest.raises(UsageError, match="--tables"):
        main(["none", str(tmp_path / "b"), "--decoder-of", "compact", "--tables", "compact"])
    with pytest.raises(BundleNotFound):
        main(["none", str(tmp_path / "b"), "--decoder-of", str(tmp_path / "nothing")])


def test_a_second_decoder_is_for_double_size_alone(bundle, tmp_path):
    new = add_weights(bundle, tmp_path / "new", DOUBLED, trained(bundle), {"steps": 7}, size=SIZE, share=0.5)
    assert new.id != bundle.id and new.manifest["doubled"] == {"steps": 7, "share": 0.5}
    for name in bundle.manifest["files"]:
        assert new.file(name).read_bytes() == bundle.file(name).read_bytes()
    assert set(new.manifest["files"]) - set(bundle.manifest["files"]) == {"doubled.safetensors"}
    name = "pixels.fuse.weight"
    old, opened = Decoder(bundle, "cpu"), Decoder(new, "cpu")
    before, own, doubled = (m.state_dict() for m in (old.model, opened.model, opened.doubled))
    assert own[name].equal(before[name]) and old.doubled is old.model
    torch.testing.assert_close(doubled[name], before[name] + 0.125, atol=3e-3, rtol=0)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    sized = {
        "plain": new,
        "double": with_sizes(bundle, tmp_path / "source"),
    }
    sized["both"] = add_weights(sized["double"], tmp_path / "both", DOUBLED, trained(bundle), {}, size=SIZE)
    shown = {}
    for key, one in (sized | {"old": bundle}).items():
        packet = Encoder(one, threads=1).encode(image, 3).packet
        shown[key] = Decoder(one, "cpu").decode(DecodeRequest(packet, 64, 128, image)).image
    np.testing.assert_array_equal(shown["plain"], shown["old"])
    assert (shown["both"] != shown["double"]).any()


def test_weights_for_large_frames_are_for_those_at_their_own_size_alone(bundle, tmp_path):
    source = with_sizes(bundle, tmp_path / "source", [SIZES[0] | {"scale": [1] * 4 + [2] * 2 + [4] * 2}])
    new = add_weights(
        source, tmp_path / "new", LARGE, trained(bundle), {"pixels": 64 * 128 - 1}, size=SIZE, share=0.5
    )
    assert new.manifest["large"] == {"pixels": 64 * 128 - 1, "share": 0.5}
    assert set(new.manifest["files"]) - set(source.manifest["files"]) == {"large.safetensors"}
    decoder, plain = Decoder(new, "cpu"), Decoder(source, "cpu")
    assert plain.large is plain.model and decoder.doubled is decoder.model is not decoder.large
    rng = np.random.default_rng(0)
    changed = {}
    for height, width in ((64, 128), (64, 127), (128, 64)):
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        for quality in (3, 4, 6):
            views = [
                one.decode(
                    DecodeRequest(Encoder(of, threads=1).encode(image, quality).packet, height, width, image)
                ).image
                for one, of in ((decoder, new), (plain, source))
            ]
            changed[height, width, quality] = not np.array_equal(*views)
    assert {key for key, differs in changed.items() if differs} == {(64, 128, 4), (128, 64, 4)}


def test_both_additions_stay_beside_each_other(bundle, tmp_path):
    first = add_weights(bundle, tmp_path / "a", DOUBLED, trained(bundle), {}, size=SIZE)
    both = add_weights(first, tmp_path / "b", LARGE, trained(bundle), {"pixels": 9}, size=SIZE)
    refined = add_refinement(both, tmp_path / "c", refinement(), Refiner().state_dict(), {})
    assert {"doubled", "large", "refinement"} <= set(refined.manifest)
    replaced = replace_decoder(refined, tmp_path / "d", trained(bundle), CONFIG, {})
    assert not {"doubled", "large"} & set(replaced.manifest)
    assert not {"doubled.safetensors", "large.safetensors"} & set(replaced.manifest["files"])


def test_a_quantised_decoder_takes_half_and_shows_nearly_the_same(bundle, tmp_path):
    small = quantise_decoder(bundle, tmp_path / "small")
    assert small.id != bundle.id and small.file(DECODER).stat().st_mode & 0o777 == 0o644
    for name in bundle.manifest["files"]:
        same = small.file(name).read_bytes() == bundle.file(name).read_bytes()
        assert same == (name != DECODER)
    assert small.file(DECODER).stat().st_size < 0.7 * bundle.file(DECODER).stat().st_size
    before, after = (Decoder(one, "cpu").model.state_dict() for one in (bundle, small))
    for name, value in before.items():
        if name.startswith(("hyperprior.", "masked_object.")):
            continue  # no bundle holds these
        if name.startswith("analysis.") or value.ndim < 2:
            assert after[name].equal(value), name
        else:
            largest = value.flatten(1).abs().amax(1)
            off = (after[name] - value).flatten(1).abs().amax(1)
            assert bool((off <= largest / 250).all()), name
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    frames = [Encoder(one, threads=1).encode(image, 3) for one in (bundle, small)]
    assert frames[0].coded.payload == frames[1].coded.payload
    again = quantise_decoder(small, tmp_path / "again")
    assert again.file(DECODER).read_bytes() == small.file(DECODER).read_bytes(), "nothing is lost twice"


def test_a_quantised_decoder_is_added_to_and_replaced_as_any_other(bundle, tmp_path):
    small = quantise_decoder(bundle, tmp_path / "small")
    new = add_weights(small, tmp_path / "new", DOUBLED, trained(small), {}, size=SIZE)
    name = "pixels.fuse.weight"
    own, doubled = (m.state_dict()[name] for m in (Decoder(new, "cpu").model, Decoder(new, "cpu").doubled))
    torch.testing.assert_close(doubled, own + 0.25, atol=3e-3, rtol=0)
    quantised = quantise_decoder(
        add_weights(bundle, tmp_path / "a", DOUBLED, trained(bundle), {}, SIZE), tmp_path / "b"
    )
    assert "doubled" in quantised.manifest and Decoder(quantised, "cpu").doubled is not None
    replaced = replace_decoder(new, tmp_path / "c", trained(small), CONFIG, {})
    torch.testing.assert_close(
        Decoder(replaced, "cpu").model.state_dict()[name], own + 0.25, atol=1e-3, rtol=0
    )
    with pytest.raises(UsageError, match="another folder"):
        quantise_decoder(bundle, bundle.path)
    (tmp_path / "new" / DECODER).write_bytes(b"no tensors")
    with pytest.raises(BundleCorrupt):
        quantise_decoder(new, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_second_decoder_is_kept_by_all_that_keeps_the_first(bundle, tmp_path):
    second = add_weights(bundle, tmp_path / "a", DOUBLED, trained(bundle), {"steps": 7}, size=SIZE)
    lit = add_illumination(second, tmp_path / "b", light([(0, 0, 0)]), {})
    refined = add_refinement(lit, tmp_path / "c", refinement(), Refiner().state_dict(), {})
    again = add_weights(refined, tmp_path / "d", DOUBLED, trained(bundle), {"steps": 8}, size=SIZE)
    for one in (lit, refined):
        assert one.manifest["doubled"]["steps"] == 7
        assert one.file("doubled.safetensors").read_bytes() == second.file("doubled.safetensors").read_bytes()
    assert (
        again.manifest["doubled"]["steps"] == 8 and list(again.manifest["files"])[-1] == "doubled.safetensors"
    )
    replaced = replace_decoder(again, tmp_path / "e", trained(bundle), CONFIG, {})
    assert "doubled" not in replaced.manifest and "doubled.safetensors" not in replaced.manifest["files"]
    assert not (tmp_path / "e" / "doubled.safetensors").exists()
    assert Decoder(replaced, "cpu").refiner is not None


def test_a_second_decoder_that_makes_no_sense_is_refused(bundle, tmp_path):
    for arguments, why in (
        ({"size": 9}, "9 bytes are too few"),
        ({"share": 0.0}, "share 0"),
        (
            {"weights": trained(bundle) | {"analysis.head.weight": torch.ones(4, 128, 1, 1)}},
            "encoder",
        ),
        ({"weights": {}}, "different models"),
    ):
        arguments = {"weights": trained(bundle), "size": SIZE} | arguments
        with pytest.raises(UsageError, match=why):
            add_weights(bundle, tmp_path / "new", DOUBLED, facts={}, **arguments)
        assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="another folder"):
        add_weights(bundle, bundle.path, DOUBLED, trained(bundle), {}, size=SIZE)


def test_the_command_puts_a_second_decoder_beside_the_first_and_says_when_one_goes(
    bundle, tmp_path, monkeypatch, capsys
):
    checkpoint = Codec(CONFIG)
    checkpoint.load_state_dict(trained(bundle), strict=False)
    monkeypatch.setattr("cloud.export.load_model", lambda path: (checkpoint, {"step": 3, "seconds": 90.0}))
    doubled, replaced = tmp_path / "doubled", tmp_path / "replaced"
    asked = ["run.safetensors", str(doubled), "--decoder-of", str(bundle.path), "--share", "0.5"]
    for megabytes in ("0", "-1", "nan", "1e9"):
        for option in ("--doubled", "--large"):
            with pytest.raises(UsageError, match=option):
                main([*asked, option, megabytes])
    assert main([*asked, "--doubled", "0.2", "--note", "tried"]) == 0
    made = Bundle.load(doubled)
    facts = {"steps": 3, "minutes": 1.5, "note": "tried", "share": 0.5}
    assert made.manifest["doubled"] == facts and "left out" not in capsys.readouterr().out
    assert made.file("doubled.safetensors").stat().st_size < 250_000
    large = ["run.safetensors", str(tmp_path / "large"), "--decoder-of", str(doubled), "--large", "0.2"]
    assert main(large) == 0
    both = Bundle.load(tmp_path / "large")
    assert both.manifest["large"] == {"pixels": 131071, "steps": 3, "minutes": 1.5, "note": "", "share": 1.0}
    assert both.manifest["doubled"] == facts
    capsys.readouterr()
    assert main(["run.safetensors", str(replaced), "--decoder-of", str(doubled)]) == 0
    assert "doubled.safetensors is left out" in capsys.readouterr().out
    assert "doubled.safetensors" not in Bundle.load(replaced).manifest["files"]


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
