"""cloud.training.precision: half the bits only where the device has instructions for them."""

import torch

from cloud.training.precision import mixed


def test_a_cpu_is_asked_whether_it_can():
    fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    layer, image = torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)
    with mixed("cpu"):
        assert layer(image).dtype == (torch.bfloat16 if fast else torch.float32)
    assert layer(image).dtype == torch.float32
