"""The judge: its bookkeeping always, the learned metrics where their weights are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rd.metrics import METRICS, Judge, parse_metrics
from benchmarks.rd.networks import WEIGHTS_VARIABLE
from common.errors import UsageError
from common.quality import ms_ssim, psnr

KNOWN = {"lpips_vgg": 0.46135, "lpips_alex": 0.41971, "dists": 0.33489}


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(5)
    coarse = np.kron(rng.integers(30, 225, (8, 16, 3)), np.ones((16, 16, 1)))
    reference = coarse.astype(np.uint8)  # (128, 256, 3)
    noise = rng.normal(0, 1, reference.shape)
    return reference, [np.clip(reference + s * noise, 0, 255).astype(np.uint8) for s in (0, 6, 30)]


def test_metrics_are_read_in_their_own_order():
    assert parse_metrics("psnr, lpips_vgg") == ("lpips_vgg", "psnr")
    with pytest.raises(UsageError, match="ssim3"):
        parse_metrics("psnr,ssim3")
    with pytest.raises(UsageError):
        parse_metrics(" ,")


def test_plain_metrics_need_no_network(pictures):
    reference, others = pictures
    told = []
    values = Judge(("psnr", "ms_ssim_db")).measure(reference, others, told.append)
    assert [v["psnr"] for v in values] == [psnr(reference, other) for other in others]
    assert values[1]["ms_ssim"] == ms_ssim(reference, others[1])
    assert set(values[0]) == {"psnr", "ms_ssim", "ms_ssim_db"}
    assert sum(told) == len(others)


@pytest.fixture(scope="module")
def judge():
    if not os.environ.get(WEIGHTS_VARIABLE):
        pytest.skip(f"{WEIGHTS_VARIABLE} is not set: the learned metrics' weights are not at hand")
    for package in ("lpips", "DISTS_pytorch"):
        pytest.importorskip(package, reason=f"{package} (extra bench) is not installed")
    return Judge(weights=Path(os.environ[WEIGHTS_VARIABLE]))


def test_learned_metrics_are_zero_for_the_same_picture_and_grow_with_noise(judge, pictures):
    reference, others = pictures
    values = judge.measure(reference, others)
    assert set(values[0]) == {*METRICS, "ms_ssim"}
    for key in ("lpips_vgg", "lpips_alex", "dists"):
        column = [v[key] for v in values]
        assert column[0] == pytest.approx(0, abs=1e-5)
        assert column[0] < column[1] < column[2]


def test_halves_computed_apart_give_what_the_packages_give(judge, pictures):
    """Features of the reference are shared over a batch; the packages compute both halves anew."""
    import torch

    reference, others = pictures
    assert (
        judge._shares
    )  # LPIPS-VGG and DISTS begin alike, and the first layers are computed for both at once
    values = judge.measure(reference, others)

    def tensor(picture):
        return torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float() / 255

    with torch.inference_mode():
        a, b = tensor(reference), tensor(others[2])
        for key in ("lpips_vgg", "lpips_alex"):
            whole = judge._networks[key]._module(a, b, normalize=True)
            assert values[2][key] == pytest.approx(float(whole), abs=1e-5)
        whole = judge._networks["dists"]._module(a, b)
        assert values[2]["dists"] == pytest.approx(float(whole), abs=1e-5)


def test_known_values(judge, pictures):
    """Values of an independent implementation of the three networks."""
    reference, others = pictures
    values = judge.measure(reference, [others[2]])[0]
    assert values["lpips_vgg"] == pytest.approx(KNOWN["lpips_vgg"], abs=1e-3)
    assert values["lpips_alex"] == pytest.approx(KNOWN["lpips_alex"], abs=1e-3)
    assert values["dists"] == pytest.approx(KNOWN["dists"], abs=1e-3)
