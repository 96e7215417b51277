"""Turn tags into the text tokens that the denoiser attends to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import InputError

from .vocabulary import OBJECTS, POSITIONS, Tags


def presence_tensor(tags: Sequence[Tags], device: str | torch.device = "cpu") -> Tensor:
    """Stack the tags of B pictures into presence (B, 14, 3) float32."""
    return torch.from_numpy(np.stack([t.presence for t in tags])).to(device)


class TagEmbedding(nn.Module):
    """Embed presence (B, 14, 3) as text tokens (B, 14, D): one token for each object of the vocabulary.

    Token of an object: its surest presence times the object's embedding, plus each place's embedding times the
    presence there. An absent object gives the zero token, so "no text" (nothing present, as in classifier-free
    guidance) needs no special case: keys and values without bias make nothing of it.

    Stands where the paper has the CLIP embedding of a BLIP-2 caption (z_text).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        # Of about unit size together, as attention expects of its context.
        self.objects = nn.Parameter(torch.randn(len(OBJECTS), width) * 0.7)
        self.positions = nn.Parameter(torch.randn(len(POSITIONS), width) * 0.4)

    def forward(self, presence: Tensor) -> Tensor:
        """Return text tokens (B, 14, D) in the parameters' type.

        Raises:
            InputError: presence is not (B, 14, 3).
        """
        if presence.dim() != 3 or presence.shape[1:] != (len(OBJECTS), len(POSITIONS)):
            raise InputError(
                f"presence must be (B, {len(OBJECTS)}, {len(POSITIONS)}), not {tuple(presence.shape)}"
            )
        presence = presence.to(self.objects.dtype)
        return presence.amax(2, keepdim=True) * self.objects + presence @ self.positions
