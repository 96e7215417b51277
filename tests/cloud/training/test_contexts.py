"""`mdic-cloud contexts`: tables counted on frames, and a bundle that both sides can use."""

import cv2
import numpy as np
import pytest

from cloud.decoder import Decoder, DecodeRequest
from cloud.training.contexts import Counts, main, views
from common.bundle import Bundle
from common.errors import UsageError
from common.synthetic import StereoStreet
from edge.encoder import Encoder

TABLES = [{"pixels": 49152}, {"pixels": 131071}, {"pixels": 16777216}]


def test_counts_become_tables_in_which_what_was_seen_is_likely():
    counts = Counts(1, 2, (1, 3))
    y = np.zeros((2, 4, 4), np.int32)
    y[0] = 2
    y[1, 1, 1] = -7  # escaped
    coded = np.ones(y.shape, bool)
    coded[1, 0] = False
    for _ in range(50):
        counts.add(np.zeros((1, 1, 1), np.int32), y, coded)
    assert counts.frames == 50 and counts.y[0].sum() == 800 and counts.y[1].sum() == 600
    assert counts.y[1, :, -1].sum() == 50 and counts.y[0, 26, 3 + 2] > 0, "between positive neighbours"
    z_table, y_table = counts.tables()
    assert z_table.dtype == y_table.dtype == np.uint16
    assert (y_table.astype(int).sum(-1) == 65536).all() and y_table.min() >= 1
    assert z_table[0, 1] > 60000, "what was always so costs next to nothing"
    assert y_table[0, 26, 5] > 60000 and y_table[1, 13, 3] > 50000
    never = y_table[0, 0].astype(int)  # this channel has never had negative neighbours ...
    assert never.argmax() == 5, "... so the channel's other contexts speak for it"
    fresh = Counts(1, 2, (1, 3)).tables()[1][0, 0].astype(int)
    assert fresh[3] > fresh[4] == fresh[2] > fresh[1] > fresh[0] > 1, "with nothing seen, small is likelier"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 256), [(0, (128, 256))]),
        ((375, 1242), [(0, (128, 256)), (1, (198, 658)), (2, (375, 1242))]),
        ((200, 400), [(0, (128, 256)), (1, (200, 400))]),
        ((100, 200), [(0, (100, 200))]),
        ((40, 90), []),
    ],
)
def test_a_frame_stands_for_frames_of_each_size_up_to_its_own(size, expected):
    found = [(number, picture.shape[:2]) for number, picture in views(np.zeros((*size, 3), np.uint8), TABLES)]
    assert [number for number, _ in found] == [number for number, _ in expected]
    for (number, got), (_, want) in zip(found, expected, strict=True):
        assert abs(got[0] - want[0]) <= 1 and abs(got[1] - want[1]) <= 1
        assert got[0] * got[1] <= TABLES[number]["pixels"]


def write_pairs(folder, seeds, size):
    for view in ("left", "right"):
        (folder / view).mkdir(parents=True)
    for seed in seeds:
        street = StereoStreet(seed, height=size[0], width=size[1], ideal=True).frame(0)
        for view, image in (("left", street.main), ("right", street.side)):
            assert cv2.imwrite(str(folder / view / f"{seed}.png"), image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fit context tables to the shipped bundle once; return the folder of pairs and the bundle."""
    folder = tmp_path_factory.mktemp("contexts")
    data = write_pairs(folder / "streets" / "one", range(2), (256, 640)).parent
    arguments = ["--data", str(data), "--out", str(folder / "made"), "--device", "cpu", "--largest", "6"]
    assert main(arguments) == 0
    return data, Bundle.load(folder / "made")


def test_the_bundle_says_what_it_is(made):
    plain, (_, bundle) = Bundle.load(), made
    assert bundle.manifest["format"] == 5 and bundle.name == plain.name
    assert bundle.manifest["contexts"] == {"frames": 4, "largest": 6}
    for table, before in zip(bundle.manifest["resampling"], plain.manifest["resampling"], strict=True):
        assert {k: v for k, v in table.items() if k != "contexts"} == {
            k: v for k, v in before.items() if k != "contexts"
        }
        pairs = list(zip(table["scale"], table["quality"], table["contexts"], strict=True))
        assert len({which for *_, which in pairs}) <= len({pair[:2] for pair in pairs})
    known = [set(table["contexts"]) for table in bundle.manifest["resampling"]]
    assert not known[0] & known[1] and not known[1] & known[2], "sizes have sets of their own"
    for name in plain.manifest["files"]:
        same = bundle.file(name).read_bytes() == plain.file(name).read_bytes()
        assert same == (name != "entropy.safetensors")


@pytest.mark.parametrize(("quality", "size"), [(0, (128, 256)), (5, (128, 256)), (1, (256, 640))])
def test_both_sides_use_it_for_the_same_picture_in_fewer_bytes(made, quality, size):
    street = StereoStreet(1, height=256, width=640, ideal=True).frame(0)
    main_view, side = (cv2.resize(view, size[::-1]) for view in (street.main, street.side))
    encoder, decoder = Encoder(made[1], threads=1), Decoder(made[1], "cpu")
    frame = encoder.encode(main_view, quality)
    view = frame.view
    assert view.contexts is not None
    without = encoder.codec.entropy_bits(frame.coded.symbols, view.quality)
    assert encoder.codec.entropy_bits(frame.coded.symbols, view.quality, view.contexts) < without
    coded = decoder.coded(frame.packet, *size)
    np.testing.assert_array_equal(coded.y_hat, frame.coded.y_hat)
    assert decoder.decode(DecodeRequest(frame.packet, *size, side)).image.shape == (*size, 3)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--every", "0"], "--every"),
        (["--largest", "0"], "--largest"),
        (["--largest", "61"], "--largest"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, what):
    with pytest.raises(UsageError, match=what):
        main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), *options])


def test_frames_too_small_for_a_table_are_said(tmp_path):
    data = write_pairs(tmp_path / "streets" / "one", [1], (128, 256)).parent
    with pytest.raises(UsageError, match="large enough for resampling table 2"):
        main(["--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert not (tmp_path / "out").exists()


def test_the_bundle_itself_is_not_written_over():
    path = Bundle.load().path
    with pytest.raises(UsageError, match="another folder"):
        main(["--data", "somewhere", "--out", str(path)])
