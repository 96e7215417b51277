"""Text supervision of the mask: name the object that is missing in the text from what the mask lets through.

Training only (the paper's MaskedObjectPredictor): a caption with one object replaced by [MASK] can be completed only if
the mask m_v leaves that object's features open, so the mask learns to be about objects. Decoding needs no text for it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import InputError

from .vocabulary import OBJECTS

HEADS = 4
NOTHING = -1
"""Stands for "no object was masked" where a picture has none; such pictures do not enter the loss."""


class MaskedObjectPredictor(nn.Module):
    """Name the masked object of each picture from the rest of the text and the features behind the mask.

    The [MASK] token first reads the other tokens (which objects are *not* the answer), then the gated features. No
    layer knows a token's place in the sequence, so the answer cannot be read off where [MASK] stands; and rows of a
    batch never meet, so a label belongs to its own mask whatever the order of the batch.
    """

    def __init__(self, feature_channels: int, width: int) -> None:
        """Make a predictor for features of C channels and text tokens of `width` D.

        Raises:
            InputError: the width cannot be divided among the attention heads.
        """
        super().__init__()
        if width < HEADS or width % HEADS:
            raise InputError(f"the width of text tokens must be a multiple of {HEADS}, not {width}")
        self.width = width
        self.mask_token = nn.Parameter(torch.randn(width) * 0.7)
        self.text_query = nn.Linear(width, width, bias=False)
        self.text_key = nn.Linear(width, width, bias=False)
        self.text_value = nn.Linear(width, width, bias=False)
        self.read_text = nn.LayerNorm(width)
        self.feature_norm = nn.LayerNorm(feature_channels)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(feature_channels, width, bias=False)
        # Without bias: a cell behind a closed mask has the value zero and tells nothing.
        self.value = nn.Linear(feature_channels, width, bias=False)
        self.place = nn.Linear(2, width, bias=False)
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(OBJECTS))

    def forward(self, tokens: Tensor, features: Tensor, mask: Tensor, masked: Tensor) -> Tensor:
        """Return logits (B, 14) over OBJECTS.

        Args:
            tokens: (B, 14, D) text tokens of `TagEmbedding`; the one of `masked` is replaced here.
            features: (B, C, h, w) of the side view (z_y, or its warp), not yet gated.
            mask: (B, 1, h, w) m_v in [0, 1]; gradients reach it.
            masked: (B,) int64, the object to name; NOTHING rows give logits that the loss leaves out.

        Raises:
            InputError: shapes that do not fit together.
        """
        b, _, h, w = features.shape
        if (
            tokens.shape != (b, len(OBJECTS), self.width)
            or mask.shape != (b, 1, h, w)
            or masked.shape != (b,)
        ):
            raise InputError(
                f"tokens {tuple(tokens.shape)}, features {tuple(features.shape)}, mask {tuple(mask.shape)} and "
                f"masked {tuple(masked.shape)} do not fit together"
            )
        chosen = F.one_hot(masked.clamp_min(0), len(OBJECTS)).to(tokens.dtype)[..., None]
        replaced = tokens * (1 - chosen) + self.mask_token * chosen
        query = self.mask_token.expand(b, 1, -1)
        text = _attend(self.text_query(query), self.text_key(replaced), self.text_value(replaced))
        query = self.read_text(query + text)
        # Normalised before the gate: afterwards a normalisation would undo it.
        cells = self.feature_norm(features.flatten(2).transpose(1, 2))
        gated = cells * mask.flatten(2).transpose(1, 2)
        key = self.key(gated) + self.place(_coordinates(h, w, features))
        seen = query + _attend(self.query(query), key, self.value(gated))
        return self.head(self.norm(seen + self.hidden(seen)))[:, 0]  # type: ignore[no-any-return]


def choose_masked(presence: Tensor, generator: torch.Generator | None = None, sure: float = 0.5) -> Tensor:
    """Choose the object to mask in each picture: (B,) int64, NOTHING where none is present.

    Every present object is as likely as any other. Drawn on the CPU, so that a seed means the same everywhere.

    Args:
        presence: (B, 14, 3) in [0, 1].
        generator: a CPU generator; None for torch's own.
        sure: from which presence on an object counts as present.
    """
    there = (presence.detach().cpu().amax(2) >= sure).float()
    drawn = torch.multinomial(there + 1e-9, 1, generator=generator)[:, 0]
    # A row without objects still draws one, so that its neighbours' draws do not depend on it.
    return torch.where(there.sum(1) > 0, drawn, NOTHING).to(presence.device)


def masked_object_loss(logits: Tensor, masked: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats over the rows that have a masked object; 0 when none has.

    Args:
        logits: (B, 14) of `MaskedObjectPredictor`.
        masked: (B,) int64, the same that the predictor was given; NOTHING is left out.
    """
    total = F.cross_entropy(logits.float(), masked, ignore_index=NOTHING, reduction="sum")
    return total / (masked != NOTHING).sum().clamp_min(1)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return attention of queries (B, 1, D) over keys and values (B, N, D), the channels shared among the heads."""
    q, k, v = (t.view(*t.shape[:2], HEADS, -1).transpose(1, 2) for t in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _coordinates(h: int, w: int, like: Tensor) -> Tensor:
    """Return (1, h*w, 2): each cell's row and column in [-1, 1], since sky is above and road below."""
    ys = (torch.arange(h, device=like.device, dtype=like.dtype) * 2 + 1) / h - 1
    xs = (torch.arange(w, device=like.device, dtype=like.dtype) * 2 + 1) / w - 1
    return torch.stack(torch.meshgrid(ys, xs, indexing="ij"), -1).view(1, h * w, 2)
