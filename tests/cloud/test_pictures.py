"""cloud.pictures: any size fits, what is repeated is the border, bytes come back."""

import numpy as np
import pytest
import torch

from cloud.pictures import fitted, to_bytes, to_planes

CPU = torch.device("cpu")
VIEW = np.random.default_rng(0).integers(0, 256, (65, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(65, 70), (130, 200), (32, 35)])
def test_a_view_of_any_size_fits(size):
    view = fitted(VIEW, *size)
    assert view.shape == (*size, 3) and view.dtype == np.uint8 and abs(view.mean() - VIEW.mean()) < 2


def test_planes_are_padded_with_the_border_and_come_back():
    planes = to_planes(VIEW, (65, 70), (128, 128), CPU)
    assert planes.shape == (1, 3, 128, 128)
    assert torch.equal(planes[..., 100, :70], planes[..., 64, :70])
    assert torch.equal(planes[..., :65, 100], planes[..., :65, 69])
    np.testing.assert_array_equal(to_bytes(planes * 2 - 1)[0, :65, :70], VIEW)


def test_planes_are_of_the_coded_size_and_nothing_is_zeros():
    assert to_planes(VIEW, (130, 140), (192, 192), CPU).shape == (1, 3, 192, 192)
    assert to_planes(VIEW, (33, 35), (64, 64), CPU).shape == (1, 3, 64, 64)
    assert to_planes(None, (65, 70), (128, 128), CPU).abs().max() == 0
