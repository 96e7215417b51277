"""common.resampling: which size a frame is coded at, and what a manifest may say of it."""

import numpy as np
import pytest

from common.bundle import Bundle
from common.errors import BundleCorrupt
from common.resampling import CodedView, Resampling, resample

SMALL = {"pixels": 32768, "scale": [2, 2, 2, 2, 4, 4, 4, 4], "quality": [0, 1, 2, 3, 1, 2, 4, 6]}
LARGE = {"pixels": 16777216, "scale": [1, 2, 2, 2, 2, 2, 2, 2], "quality": [2, 1, 2, 3, 4, 5, 6, 7]}


def test_without_tables_a_frame_is_coded_as_it_is():
    assert Resampling().coded_view(7, 375, 1242) == CodedView(375, 1242, 7)


@pytest.mark.parametrize(
    ("quality", "size", "view"),
    [
        (0, (128, 256), CodedView(128, 256, 0)),
        (5, (128, 256), CodedView(256, 512, 2)),
        (7, (64, 512), CodedView(128, 1024, 6)),
        (0, (128, 257), CodedView(64, 129, 2)),  # one pixel more than the first table's
        (0, (375, 1242), CodedView(188, 621, 2)),
        (1, (375, 1242), CodedView(375, 1242, 1)),
        (0, (4096, 4096), CodedView(2048, 2048, 2)),
    ],
)
def test_the_first_table_that_is_large_enough_says_it(quality, size, view):
    assert Resampling([SMALL, LARGE]).coded_view(quality, *size) == view


def test_a_table_may_say_how_many_waves_a_frame_carries():
    counted = SMALL | {"waves": [0, 0, 1, 2, 64, 11, 11, 11]}
    resampling = Resampling([counted, LARGE])
    assert resampling.coded_view(5, 128, 256) == CodedView(256, 512, 2, 11)
    assert resampling.coded_view(0, 128, 256) == CodedView(128, 256, 0, 0)
    assert resampling.coded_view(5, 375, 1242).waves is None, (
        "the other table leaves it to the codec's quality"
    )
    assert resampling.most_waves == 64 and Resampling([LARGE]).most_waves == Resampling().most_waves == 0


def test_a_table_may_name_a_set_of_context_tables():
    named = SMALL | {"contexts": [0, 3, 1, 2, 63, 7, 7, 7]}
    resampling = Resampling([named | {"waves": [1] * 8}, LARGE])
    assert resampling.coded_view(5, 128, 256) == CodedView(256, 512, 2, 1, 7)
    assert resampling.coded_view(0, 128, 256).contexts == 0
    assert resampling.coded_view(5, 375, 1242).contexts is None
    assert resampling.most_sets == 64 and Resampling([LARGE]).most_sets == Resampling().most_sets == 0
    assert Resampling([SMALL | {"contexts": [0] * 8}]).most_sets == 1


def test_a_frame_above_all_tables_is_coded_as_it_is():
    assert Resampling([SMALL]).coded_view(5, 375, 1242) == CodedView(375, 1242, 5)


def test_a_quality_that_the_bundle_does_not_know_is_left_to_the_codec_to_refuse():
    tables = [{"pixels": 32768, "scale": [4, 4], "quality": [0, 1]}]
    assert Resampling(tables, qualities=2).coded_view(7, 128, 256) == CodedView(128, 256, 7)


@pytest.mark.parametrize(
    ("height", "width", "latent"),
    [
        (64, 64, (4, 4)),
        (65, 128, (8, 8)),
        (188, 621, (12, 40)),
        (375, 1242, (24, 80)),
        (128, 256, (8, 16)),
        (4096, 4096, (256, 256)),
    ],
)
def test_latents_cover_what_is_coded_padded_to_64(height: int, width: int, latent: tuple[int, int]):
    view = CodedView(height, width, 0)
    assert (view.latent_height, view.latent_width) == latent


@pytest.mark.parametrize(
    "tables",
    [
        "text",
        {"pixels": 1},
        [1],
        [SMALL] * 9,
        [LARGE, SMALL],
        [SMALL, SMALL],
        [SMALL | {"more": 1}],
        [{key: SMALL[key] for key in ("pixels", "scale")}],
        [SMALL | {"pixels": 0}],
        [SMALL | {"pixels": True}],
        [SMALL | {"pixels": 1 << 25}],
        [SMALL | {"pixels": 131073}],  # 64 x 2049 fits, and 4098 columns are too many
        [SMALL | {"scale": [2] * 7}],
        [SMALL | {"scale": [3] * 8}],
        [SMALL | {"scale": [2.0] * 8}],
        [SMALL | {"scale": 2}],
        [SMALL | {"quality": [8] * 8}],
        [SMALL | {"quality": [-1] * 8}],
        [SMALL | {"quality": [True] * 8}],
        [SMALL | {"waves": [1] * 7}],
        [SMALL | {"waves": [65] * 8}],
        [SMALL | {"waves": [-1] * 8}],
        [SMALL | {"waves": [1.0] * 8}],
        [SMALL | {"waves": 3}],
        [SMALL | {"contexts": [1] * 7}],
        [SMALL | {"contexts": [64] * 8}],
        [SMALL | {"contexts": [-1] * 8}],
        [SMALL | {"contexts": [False] * 8}],
    ],
)
def test_tables_that_break_the_rules_are_refused(tables):
    with pytest.raises(ValueError, match="resampling"):
        Resampling(tables)


MANIFEST = """format = 2
name = "b"

[codec]
latent_channels = 4
hyper_channels = 2
qualities = 8
stride = 16
pad_multiple = 64

[[resampling]]
pixels = 32768
scale = [2, 2, 2, 2, 4, 4, 4, 4]
quality = [0, 1, 2, 3, 1, 2, 4, 6]

[files]
"""


def test_a_bundle_says_it(tmp_path):
    bundle = Bundle.parse(MANIFEST.encode(), tmp_path)
    assert bundle.coded_view(5, 128, 256) == CodedView(256, 512, 2)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("32768", "99999999", "resampling: pixels"),
        ("[2, 2, 2, 2, 4, 4, 4, 4]", "[3]", "resampling: scale"),
        ("format = 2", "format = 1", "format 1, and what it holds is of format 2"),
        ("[[resampling]]", "[[resampled]]", "format 2, and what it holds is of format 1"),
        (
            "[files]",
            "waves = [1, 1, 1, 1, 1, 1, 1, 1]\n\n[files]",
            "format 2, and what it holds is of format 4",
        ),
        (
            "[files]",
            "contexts = [0, 0, 0, 0, 0, 0, 0, 0]\n\n[files]",
            "format 2, and what it holds is of format 5",
        ),
        ("format = 2", "format = 6", "format 6, this program reads 1 to 5"),
    ],
)
def test_a_bundle_that_says_it_wrongly_is_corrupt(tmp_path, old, new, what):
    assert old in MANIFEST
    with pytest.raises(BundleCorrupt, match=what):
        Bundle.parse(MANIFEST.replace(old, new).encode(), tmp_path)


def test_resampling_keeps_what_is_flat_and_the_mean():
    image = np.random.default_rng(0).integers(0, 256, (65, 131, 3), dtype=np.uint8)
    assert resample(image, 65, 131) is image
    half, double = resample(image, 33, 66), resample(image, 130, 262)
    assert (
        half.shape == (33, 66, 3) and double.shape == (130, 262, 3) and half.dtype == double.dtype == np.uint8
    )
    assert abs(half.mean() - image.mean()) < 1 and abs(double.mean() - image.mean()) < 1
    flat = np.full((64, 64, 3), 77, np.uint8)
    assert (resample(flat, 128, 128) == 77).all() and (resample(flat, 32, 32) == 77).all()
