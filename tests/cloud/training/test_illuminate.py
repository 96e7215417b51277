"""`mdic-cloud illuminate`: the waves that are worth their bits, and a bundle that both sides can use."""

import math
import shutil

import cv2
import numpy as np
import pytest

from cloud.decoder import Decoder, DecodeRequest
from cloud.training.illuminate import (
    CANDIDATES,
    STEPS,
    Choice,
    Example,
    arrays,
    choose,
    main,
    parse_counts,
)
from common.bundle import Bundle
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.illumination import MOST_WAVES, UNIT, IlluminationCodec
from common.errors import DatasetError, UsageError
from common.illumination import TO_YCBCR, illumination
from common.synthetic import StereoStreet
from edge.encoder import Encoder

WHOLE, GRADIENT, CAST = ((0, 0, 0), (0, 1, 0), (2, 0, 0))
REST = 0.003
"""Mean squared error that no wave takes away."""


def planted(errors: dict, pictures: int = 40, spread: float = 0.05) -> list[Example]:
    """Draw pictures that were rebuilt with errors of their own in some waves, and exactly in all others."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(pictures):
        true = rng.normal(0, spread, len(CANDIDATES))
        true[CANDIDATES.index(WHOLE)] += 0.4
        rebuilt = true.copy()
        for wave, size in errors.items():
            rebuilt[CANDIDATES.index(wave)] += rng.normal(0, size)
        colours = np.linalg.inv(TO_YCBCR) @ (rebuilt - true).reshape(3, -1)
        made.append(Example(true, rebuilt, REST + float(np.square(colours).mean(0).sum())))
    return made


def test_every_wave_is_tried_once():
    assert len(set(CANDIDATES)) == len(CANDIDATES) == 180 and sorted(STEPS) == list(STEPS)


def test_what_a_wave_gains_counts_in_red_green_and_blue():
    """Luma alone put right beside a wrong Cb is worth less than both planes' squares say, and here nothing."""
    true = np.zeros(len(CANDIDATES))
    examples = []
    for luma, cb in ((0.03, -0.06), (-0.03, 0.06)) * 10:
        rebuilt = true.copy()
        rebuilt[CANDIDATES.index(WHOLE)], rebuilt[CANDIDATES.index((1, 0, 0))] = luma, cb
        colours = np.linalg.inv(TO_YCBCR) @ [luma, cb, 0.0]
        examples.append(Example(true, rebuilt, REST + float(np.square(colours).mean())))
    assert WHOLE not in {one.wave for one in choose(examples, 1e-9)}


def test_no_more_waves_are_chosen_than_a_bundle_may_have():
    assert len(choose(planted(dict.fromkeys(CANDIDATES, 0.05)), 1e-5)) == MOST_WAVES


@pytest.mark.parametrize("wave", [WHOLE, GRADIENT, CAST, (1, 5, 9)])
def test_an_error_in_one_wave_is_found_and_waves_without_are_left_out(wave):
    (found,) = choose(planted({wave: 0.08}), 0.002)
    assert found.wave == wave and found.step in STEPS
    assert found.mean / UNIT == pytest.approx(0.4 if wave == WHOLE else 0, abs=0.03)
    assert found.gain > 0.002 * found.bits and 0 < found.bits < 8
    assert found.scale == pytest.approx(0.04 * UNIT / found.step, rel=0.25)


def test_nothing_is_chosen_where_nothing_is_wrong_or_all_is_too_dear():
    assert choose(planted({}), 1e-9) == []
    examples = planted({WHOLE: 0.08})
    assert choose(examples, 100.0) == [] and choose(examples, 0.002) != []


def test_the_best_come_first():
    chosen = choose(planted({CAST: 0.05, WHOLE: 0.12, GRADIENT: 0.02}), 0.0005)
    assert {one.wave for one in chosen} == {WHOLE, GRADIENT, CAST}
    worth = [one.gain / one.bits for one in chosen]
    assert worth == sorted(worth, reverse=True)


def test_a_higher_price_buys_fewer_waves_and_wider_steps():
    examples = planted({CAST: 0.05, WHOLE: 0.12, GRADIENT: 0.02, (1, 0, 2): 0.01})
    counts, steps = [], []
    for price in (0.0001, 0.01, 0.2):
        chosen = choose(examples, price)
        assert all(one.gain > price * one.bits for one in chosen)
        counts.append(len(chosen))
        steps.append(next(one.step for one in chosen if one.wave == WHOLE))
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    assert steps == sorted(steps) and steps[0] < steps[-1]


def test_the_gain_of_a_whole_picture_is_what_it_measures():
    examples = planted({WHOLE: 0.12})
    (found,) = choose(examples, 0.0001)
    most = np.mean([10 * math.log10(one.error / REST) for one in examples])
    assert 0.8 * most < found.gain < most + 0.01


def test_arrays_are_the_specifications_and_counts_are_capped():
    chosen = choose(planted({CAST: 0.05, WHOLE: 0.12, GRADIENT: 0.02}), 0.0005)
    made = arrays(chosen, [0, 1, 2, 3, 4, 180, 9, 3])
    codec = IlluminationCodec(made, 8, "test")
    assert made["light_count"].tolist() == [0, 1, 2, 3, 3, 3, 3, 3]
    assert codec.waves == [one.wave for one in chosen]
    for example in planted({WHOLE: 0.1}, pictures=3):
        true = np.array([example.true[CANDIDATES.index(wave)] for wave in codec.waves])
        told = codec.quantise(true, 3)
        assert (told.low <= true).all() and (true <= told.high).all()
        encoder = RangeEncoder()
        codec.encode(encoder, told.levels)
        np.testing.assert_array_equal(codec.decode(RangeDecoder(encoder.finish()), 3).levels, told.levels)


def test_a_wave_that_never_varies_has_a_table_too():
    made = arrays([Choice(WHOLE, 41, 1600, 0.05, 1.0, 0.1)], [1] * 8)
    assert IlluminationCodec(made, 8, "test").bits(np.zeros(1, np.int32)) < 0.01


def test_counts_are_one_number_for_each_quality():
    assert parse_counts("0,4,12", 3) == [0, 4, 12]
    assert parse_counts(None, 2) == [len(CANDIDATES)] * 2


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "1,", "1,x", "1,-1", "1,2.0", "1, 2"])
def test_counts_that_make_no_sense_are_refused(text):
    with pytest.raises(UsageError, match="--counts"):
        parse_counts(text, 2)


def darker(side: np.ndarray) -> np.ndarray:
    """Return a side view whose camera lets less light in, and less blue."""
    return np.rint(side * np.array([0.75, 0.75, 0.6])).astype(np.uint8)


def write_pairs(folder, seeds, size=(128, 256)):
    for view in ("left", "right"):
        (folder / view).mkdir(parents=True)
    for seed in seeds:
        street = StereoStreet(seed, height=size[0], width=size[1], ideal=True).frame(0)
        for view, image in (("left", street.main), ("right", darker(street.side))):
            assert cv2.imwrite(str(folder / view / f"{seed}.png"), image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fit an illumination to the shipped bundle once; return the folder of pairs and the bundle."""
    folder = tmp_path_factory.mktemp("illuminate")
    data = write_pairs(folder / "streets" / "one", range(3)).parent
    arguments = ["--data", str(data), "--out", str(folder / "lit"), "--every", "1", "--device", "cpu"]
    assert main([*arguments, "--counts", "0,1,99,99,99,99,99,99", "--price", "0.02"]) == 0
    return data, Bundle.load(folder / "lit")


def test_the_bundle_says_what_it_is(made):
    plain, (_, bundle) = Bundle.load(), made
    assert (
        bundle.manifest["format"] == plain.manifest["format"] >= 4
        and bundle.name == plain.name
        and bundle.id != plain.id
    )
    assert bundle.manifest["illumination"] == {"pairs": 3, "quality": 4, "price": 0.02}
    text = (bundle.path / "manifest.toml").read_text()
    assert text.startswith(f"format = {plain.manifest['format']}\n") and "\n[illumination]\n" in text
    for table in ("codec", "model", "training", "refinement", "doubled"):
        assert bundle.manifest[table] == plain.manifest[table]
    most = len(Encoder(bundle, threads=1).codec.illumination.waves)
    for table, before in zip(bundle.manifest["resampling"], plain.manifest["resampling"], strict=True):
        told = {
            key: [min(n, most) for n in value] if key == "waves" else value for key, value in before.items()
        }
        assert table == told
    for name in plain.manifest["files"]:
        same = bundle.file(name).read_bytes() == plain.file(name).read_bytes()
        assert same == (name != "entropy.safetensors")


def test_both_sides_use_it_and_the_light_is_the_main_views(made):
    street = StereoStreet(7, height=70, width=150, ideal=True).frame(0)
    side, errors, sizes = darker(street.side), [], []
    for lit in (False, True):
        encoder, decoder = Encoder(made[1], threads=1), Decoder(made[1], "cpu")
        if not lit:
            encoder.codec.illumination = decoder.codec.illumination = None
        packet = encoder.encode(street.main, 5).packet  # which carries all that there are
        image = decoder.decode(DecodeRequest(packet, 70, 150, side)).image
        sizes.append(len(packet))
        errors.append(np.square(image.astype(float) - street.main).mean())
    assert errors[1] < 0.8 * errors[0] and 0 <= sizes[1] - sizes[0] < 20
    light, waves = decoder.coded(packet, 70, 150).light, decoder.codec.illumination.waves
    assert (0, 0, 0) in waves and light.waves == waves
    true = illumination(street.main, waves)
    assert (light.low <= true + 1e-6).all() and (true <= light.high + 1e-6).all()


def test_counts_are_what_packets_carry(made):
    codec = Encoder(made[1], threads=1).codec.illumination
    assert [codec.count(quality) for quality in range(4)] == [0, 1, len(codec.waves), len(codec.waves)]


def test_a_bundle_that_has_one_is_given_a_new_one(made, tmp_path, capsys):
    data, bundle = made
    arguments = ["--bundle", str(bundle.path), "--data", str(data), "--out", str(tmp_path / "again")]
    arguments += ["--every", "1", "--device", "cpu", "--price", "0.02"]
    assert main(arguments) == 0
    again, shown = Bundle.load(tmp_path / "again"), capsys.readouterr().out
    before, after = (Encoder(one, threads=1).codec.illumination for one in (bundle, again))
    assert after.waves == before.waves and after.count(0) == len(after.waves)
    assert "luma (0, 0): step" in shown and f"3 pairs, {len(after.waves)} waves" in shown
    assert again.hex in shown


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--quality", "8"], "--quality 8"),
        (["--quality", "-1"], "--quality -1"),
        (["--quality", "7"], "no refinement"),
        (["--every", "0"], "--every"),
        (["--price", "0"], "--price"),
        (["--price", "nan"], "--price"),
        (["--price", "inf"], "--price"),
        (["--counts", "1,2"], "--counts"),
    ],
)
def test_options_that_make_no_sense_are_refused(made, tmp_path, options, what):
    with pytest.raises(UsageError, match=what):
        main(["--data", str(made[0]), "--out", str(tmp_path / "b"), "--device", "cpu", *options])
    assert not (tmp_path / "b").exists()


def test_a_folder_without_pairs_or_with_small_ones_is_refused(tmp_path):
    small = write_pairs(tmp_path / "small", [1], (64, 128))
    out = ["--out", str(tmp_path / "b"), "--device", "cpu"]
    with pytest.raises(UsageError, match="no stereo pairs of 256 columns"):
        main(["--data", str(small), *out])
    shutil.rmtree(small)
    small.mkdir()
    for folder in (small, tmp_path / "nothing"):
        with pytest.raises(DatasetError):
            main(["--data", str(folder), *out])
    assert not (tmp_path / "b").exists()


def test_a_price_that_nothing_is_worth_writes_nothing(made, tmp_path):
    arguments = ["--data", str(made[0]), "--out", str(tmp_path / "b"), "--every", "1", "--device", "cpu"]
    with pytest.raises(UsageError, match="no wave is worth"):
        main([*arguments, "--price", "1000"])
    assert not (tmp_path / "b").exists()


def test_the_bundle_itself_is_not_written_over_and_nothing_is_decoded_first(made):
    data, bundle = made
    with pytest.raises(UsageError, match="is the bundle itself"):
        main(["--bundle", str(bundle.path), "--data", str(data), "--out", str(bundle.path)])
    assert Bundle.load(bundle.path).id == bundle.id
