"""Which precision to train in on a device."""

from __future__ import annotations

import torch


def mixed(device: torch.device | str) -> torch.autocast:
    """Return an autocast to bfloat16 where the device has it, one that changes nothing elsewhere.

    A CPU without the instructions would run bfloat16 convolutions one multiplication at a time: eight times slower
    than in float32.
    """
    kind = torch.device(device).type
    fast = kind != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(kind, torch.bfloat16, enabled=fast)
