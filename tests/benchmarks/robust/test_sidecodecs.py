"""The side view's codecs: from near lossless to about 0.05 bpp, finest first."""

import pytest

from benchmarks.robust.scenes import choose, open_folder
from benchmarks.robust.sidecodecs import HEVC_HALF_QPS, HEVC_QPS, JPEG_QUALITIES, ladder, lossless_bytes
from common.quality import psnr


@pytest.fixture
def side(data):
    return choose(open_folder(data, None), 1, 1)[0].side


def test_every_rung_returns_a_picture_of_the_size_and_fewer_bytes(side):
    pytest.importorskip("av", reason="PyAV (extra bench) is not installed")
    coded = {rung.key: rung.code(side) for rung in ladder()}
    assert len(coded) == len(JPEG_QUALITIES) + len(HEVC_QPS) + len(HEVC_HALF_QPS)
    assert "jpeg:50" in coded
    for group in ("jpeg:", "hevc:", "hevc-half:"):
        sizes = [size for key, (_, size) in coded.items() if key.startswith(group)]
        assert sizes == sorted(sizes, reverse=True) and sizes[-1] > 0
    assert all(picture.shape == side.shape for picture, _ in coded.values())
    # Chroma at half resolution keeps the finest rung from being nearer.
    assert psnr(side, coded["hevc:4"][0]) > 30
    assert psnr(side, coded["jpeg:95"][0]) > psnr(side, coded["jpeg:5"][0]) + 3
    # Random colours cost more than a street: there the coarsest rung takes 0.03 to 0.05 bpp.
    assert coded["hevc-half:51"][1] < 0.7 * coded["hevc:51"][1]
    assert coded["hevc-half:51"][1] * 8 / (128 * 256) < 0.1


def test_lossless_is_counted_without_the_files_headers(side):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(side).save(buffer, "WEBP", lossless=True, method=3)
    assert lossless_bytes(side) in range(buffer.tell() - 24, buffer.tell() - 19)
