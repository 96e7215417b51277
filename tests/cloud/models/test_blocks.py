"""cloud.models.blocks."""

import torch

from cloud.models.blocks import Residual, conv, stack, upsample, zero


def test_shapes_are_kept_or_doubled():
    x = torch.randn(2, 8, 5, 7)
    assert conv(8, 4, 3, 2)(x).shape == (2, 4, 3, 4)
    assert stack(8, 3)(x).shape == x.shape
    assert upsample(8, 6)(x).shape == (2, 6, 10, 14)


def test_a_zeroed_head_changes_nothing():
    x = torch.randn(1, 8, 5, 7)
    block = Residual(8)
    zero(block.b)
    assert torch.equal(block(x), x)
