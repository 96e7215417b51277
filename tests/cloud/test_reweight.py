"""cloud.reweight: other weights of the decoder for the same payloads, for all frames or for some, or in eight bits."""

import numpy as np
import pytest
import torch
from tiny_bundles import CONFIG, SIZE, SIZES, light, refinement, trained, with_sizes

from cloud.decoder import Decoder, DecodeRequest
from cloud.export import main, write_bundle
from cloud.models.codec import Codec
from cloud.models.refiner import Refiner
from cloud.networks import DECODER, DOUBLED, LARGE
from cloud.rebundle import (
    add_illumination,
    add_refinement,
)
from cloud.reweight import add_weights, quantise_decoder, replace_decoder
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.bundle import Bundle
from common.errors import BundleCorrupt, BundleNotFound, UsageError
from edge.encoder import Encoder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    return write_bundle(Codec(CONFIG), tmp_path_factory.mktemp("old") / "tiny", "tiny", {"steps": 1})


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
    broken = trained(bundle)
    broken["pixels.fuse.weight"] = broken["pixels.fuse.weight"] * float("nan")
    spoilt = replace_decoder(bundle, tmp_path / "spoilt", broken, CONFIG, {})
    with pytest.raises(BundleCorrupt, match=r"not finite: pixels\.fuse\.weight"):
        quantise_decoder(spoilt, tmp_path / "d")
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
