"""The geometry core: where in the side view each pixel of the main view is (docs/method.md).

Coarse to fine: a prior from the side view alone, row-wise matching of the decoded features against the side
view's at strides 16, 8 and 4, at stride 16 once more where a sweep with the edge's own transform finds the prior far
off, a search with that transform, two refinements by analysis and synthesis (warp, run the edge's transform over the
result, compare with the decoded latents), then a sub-pixel disparity for every pixel and a full-resolution warp.
Rectified stereo is assumed: main pixel x matches side pixel x - d on the same row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv, stack, upsample, zero
from .search import Search
from .sweep import sweep
from .upright import upright
from .warping import warp

# Rows matched at once outside training: bounds memory for wide frames (a 4096-wide row holds 1024² scores).
_SCORES_PER_CHUNK = 2**25


class Match(NamedTuple):
    """What one level of matching found: features (B, C, H, W); the rest (B, 1, H, W)."""

    features: Tensor
    disparity: Tensor
    entropy: Tensor
    peak: Tensor


class Geometry(NamedTuple):
    """The geometry core's answer.

    disparity (B, 1, H, W) in pixels and warped (B, 3, H, W) in [-1, 1] are at full resolution;
    hidden8 and hidden4 are features at strides 8 and 4; levels are the coarse disparities in full-resolution
    pixels, from the monocular prior to the last refinement (training supervises each).
    """

    disparity: Tensor
    warped: Tensor
    hidden8: Tensor
    hidden4: Tensor
    levels: list[Tensor]


class SideFeatures(nn.Module):
    """Features of the side view at strides 4, 8 and 16; they depend on the side view alone and can be cached.

    At stride 16 the edge's own transform of the side view joins in: the same space as the decoded latents, so
    matching works from the first training step (the paper's z_y).
    """

    def __init__(self, latent_channels: int, widths: tuple[int, int, int] = (64, 96, 128)) -> None:
        super().__init__()
        w4, w8, w16 = widths
        self.s4 = nn.Sequential(nn.PixelUnshuffle(4), conv(48, w4), stack(w4, 2))
        self.s8 = nn.Sequential(conv(w4, w8, stride=2), stack(w8, 2))
        self.s16 = nn.Sequential(conv(w8, w16, stride=2), stack(w16, 1))
        self.join = conv(w16 + latent_channels, w16)

    def forward(self, side: Tensor, latents: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (s4, s8, s16) of side views (B, 3, H, W) in [-1, 1]; zero where `present` (B, 1, 1, 1) is 0."""
        s4 = self.s4(side)
        s8 = self.s8(s4)
        s16 = self.join(torch.cat([self.s16(s8), latents.to(s8.dtype)], 1))
        return s4 * present, s8 * present, s16 * present


class RowMatch(nn.Module):
    """Match every position against its row of the side view, near a predicted disparity.

    score = t · cos(q, k) - sharpness · |offset - prior|; the prior and its sharpness come from coarser levels.
    """

    def __init__(self, query_channels: int, key_channels: int, sharpness: float, depth: int = 48) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(2.3))
        self.query = conv(query_channels, depth, 1)
        self.key = conv(key_channels, depth, 1)
        # Predicts a correction of the prior disparity (in pixels of this level) and how sharply to trust it.
        self.prior = zero(conv(query_channels + key_channels, 2))
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, x: Tensor, side: Tensor, prior: Tensor) -> Match:
        """Match x (B, Cq, H, W) against side (B, Ck, H, W) around prior (B, 1, H, W)."""
        correction = self.prior(torch.cat([x, side], 1)).float()
        center = (prior + correction[:, :1])[:, 0]
        sharp = F.softplus(self.sharpness + correction[:, 1:])[:, 0]
        query = F.normalize(self.query(x).float(), dim=1) * self.temperature.exp()
        key = F.normalize(self.key(side).float(), dim=1)
        width = x.shape[-1]
        rows = x.shape[2]
        step = rows if torch.is_grad_enabled() else max(1, _SCORES_PER_CHUNK // (x.shape[0] * width * width))
        column = torch.arange(width, device=x.device, dtype=torch.float32)
        offset = column[:, None] - column[None, :]
        parts = []
        for top in range(0, rows, step):
            cut = slice(top, min(top + step, rows))
            scores = torch.einsum("bdhw,bdhv->bhwv", query[:, :, cut], key[:, :, cut])
            scores = scores - sharp[:, cut, :, None] * (offset - center[:, cut, :, None]).abs()
            logs = scores.log_softmax(-1)
            p = logs.exp()
            features = torch.einsum("bhwv,bchv->bchw", p, side[:, :, cut].float())
            disparity = (p * offset).sum(-1)[:, None]
            entropy = -(p * logs).sum(-1)[:, None]
            parts.append((features, disparity, entropy, p.amax(-1)[:, None]))
        joined = [torch.cat(group, 2) for group in zip(*parts, strict=True)]
        return Match(joined[0].to(x.dtype), *joined[1:])


class GlobalMatch(nn.Module):
    """Match every position against all of the side view, as the paper's cross-attention does: no row, no prior.

    Its disparity is the mean horizontal offset under the attention. An ablation of RowMatch.
    """

    def __init__(self, query_channels: int, key_channels: int, depth: int = 48) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(2.3))
        self.query = conv(query_channels, depth, 1)
        self.key = conv(key_channels, depth, 1)

    def forward(self, x: Tensor, side: Tensor, prior: Tensor) -> Match:
        """Match x (B, Cq, H, W) against side (B, Ck, H, W); the prior (B, 1, H, W) is not looked at."""
        _, _, height, width = x.shape
        query = (F.normalize(self.query(x).float(), dim=1) * self.temperature.exp()).flatten(2)
        key = F.normalize(self.key(side).float(), dim=1).flatten(2)
        values = side.float().flatten(2)
        column = torch.arange(width, device=x.device, dtype=torch.float32).repeat(height)
        count = height * width
        step = count if torch.is_grad_enabled() else max(1, _SCORES_PER_CHUNK // (x.shape[0] * count))
        parts = []
        for start in range(0, count, step):
            cut = slice(start, min(start + step, count))
            logs = torch.einsum("bdn,bdm->bnm", query[:, :, cut], key).log_softmax(-1)
            p = logs.exp()
            features = torch.einsum("bnm,bcm->bcn", p, values)
            disparity = (column[cut] - p @ column)[:, None]
            entropy = -(p * logs).sum(-1)[:, None]
            parts.append((features, disparity, entropy, p.amax(-1)[:, None]))
        joined = [torch.cat(group, 2) for group in zip(*parts, strict=True)]
        joined = [flat.reshape(*flat.shape[:2], height, width) for flat in joined]
        return Match(joined[0].to(x.dtype), *joined[1:])


class Comparison(nn.Module):
    """Spread what two latents at stride 16 disagree about over the 4x4 positions at stride 4 that they cover."""

    def __init__(self, latent_channels: int, outputs: int = 16) -> None:
        super().__init__()
        self.spread = nn.Sequential(conv(latent_channels * 2, outputs * 16), nn.PixelShuffle(4))

    def forward(self, coded: Tensor, found: Tensor) -> Tensor:
        """Return (B, outputs, H/4, W/4) of coded and found latents (B, C, H/16, W/16)."""
        return F.silu(self.spread(torch.cat([coded - found, coded], 1)))


def _double(disparity: Tensor) -> Tensor:
    return F.interpolate(disparity, scale_factor=2.0, mode="bilinear", align_corners=False) * 2


def _quadruple(disparity: Tensor) -> Tensor:
    return F.interpolate(disparity, scale_factor=4.0, mode="bilinear", align_corners=False) * 4


class GeometryCore(nn.Module):
    """From decoded latents and the side view to disparity, warp and fused features."""

    def __init__(
        self,
        latent_channels: int,
        qualities: int,
        feedback: bool = True,
        search: bool = True,
        widths: tuple[int, int, int] = (64, 96, 128),
        global_attention: bool = False,
        warps: bool = True,
        kernel: str = "bicubic",
        upright: bool = False,
        sweep: bool = False,
    ) -> None:
        super().__init__()
        self.kernel, self.upright, self.sweep = kernel, upright, sweep
        w4, w8, w16 = widths
        self.enter = conv(latent_channels, w16)
        self.quality = nn.Parameter(torch.zeros(qualities, w16))
        self.absent = nn.Parameter(torch.zeros(w16))
        self.r16a = stack(w16, 2)
        self.monocular = nn.Sequential(conv(w16, 64), nn.SiLU(), stack(64, 2), nn.SiLU(), conv(64, 1))
        self.match16 = GlobalMatch(w16, w16) if global_attention else RowMatch(w16, w16, 0.5)
        self.fuse16 = conv(w16 * 3 + 4, w16)
        self.r16b = stack(w16, 4)
        self.disparity16 = zero(conv(w16, 1))
        self.up8 = upsample(w16, w8)
        self.match8 = GlobalMatch(w8, w8) if global_attention else RowMatch(w8, w8, 1.0)
        self.fuse8 = conv(w8 * 2 + 4, w8)
        self.r8 = stack(w8, 4)
        self.disparity8 = zero(conv(w8, 1))
        self.warps = warps
        if not warps:
            return
        self.up4 = upsample(w8, w4)
        self.match4 = RowMatch(w4, w4, 1.0)
        self.fuse4 = conv(w4 * 2 + 4, 96)
        self.refine_in = conv(96 + w4 + 1, 96)
        self.refine = stack(96, 2)
        if feedback:
            self.comparison = Comparison(latent_channels)
            self.feedback_in = zero(conv(16, 96))
        self.feedback = feedback
        self.search = Search() if search else None
        if search:
            self.search_in = zero(conv(32, 96))
        self.delta = zero(conv(96, 1))
        self.subpixel = zero(conv(96, 16))
        self.out4 = stack(96, 1)

    @staticmethod
    def _cat(*parts: Tensor) -> Tensor:
        return torch.cat([part.to(parts[0].dtype) for part in parts], 1)

    def forward(
        self,
        latents: Tensor,
        quality: Tensor,
        side: Tensor,
        features: tuple[Tensor, Tensor, Tensor],
        present: Tensor,
        transform: Callable[[Tensor], Tensor],
        y_hat: Tensor,
        gain: Tensor,
    ) -> Geometry:
        """Estimate geometry.

        latents: (B, C, H/16, W/16) dequantised; quality: (B,) int64; side: (B, 3, H, W) in [-1, 1];
        features: SideFeatures' output; present: (B, 1, 1, 1) float, 0 where there is no side view;
        transform: the edge's analysis of images in [0, 1] to latents like `latents`; y_hat: the latents in quantiser
        steps; gain: (B, C, 1, 1), steps per unit of the transform.
        """
        s4, s8, s16 = features
        h = self.enter(latents)
        bias = self.quality[quality][:, :, None, None] + self.absent[None, :, None, None] * (1 - present)
        h = self.r16a(h + bias.to(h.dtype))
        mono = F.softplus(self.monocular(s16).float())
        found16, d16 = self._match16(h, s16, mono)
        if self.sweep:
            swept = sweep(side, y_hat, gain, transform)
            better = swept.better(d16 * 16) & (present > 0)
            if better.any():  # the prior was wrong there: once more
                mono = torch.where(better, swept.disparity / 16, mono)
                found16, d16 = self._match16(h, s16, mono)

        h = self.up8(found16)
        m = self.match8(h, s8, _double(d16))
        h = self.r8(self.fuse8(self._cat(h, m.features, m.disparity, m.entropy, m.peak, _double(d16))))
        d8 = m.disparity + self.disparity8(h).float()
        hidden8 = h
        if not self.warps:
            return self._unmoved(hidden8, side, [mono * 16, d16 * 16, d8 * 8])

        h = self.up4(h)
        m = self.match4(h, s4, _double(d8))
        h = self.fuse4(self._cat(h, m.features, m.disparity, m.entropy, m.peak, _double(d8)))
        d4 = m.disparity
        levels = [mono * 16, d16 * 16, d8 * 8, d4 * 4]
        evidence = None
        if self.search is not None:
            found = self.search(side, _quadruple(d4), y_hat, gain, transform)
            d4 = d4 + F.interpolate(found.offset, scale_factor=4.0, mode="bilinear", align_corners=False) / 4
            levels.append(d4 * 4)
            evidence = F.interpolate(found.evidence, scale_factor=4.0, mode="bilinear", align_corners=False)
        for _ in range(2):
            entered = self.refine_in(self._cat(h, warp(s4, d4), d4))
            if self.feedback:
                # What would the edge have sent, had it seen this warp? Where that differs, the warp is wrong.
                seen = transform((warp(side, _quadruple(d4)) + 1) / 2)
                entered = entered + self.feedback_in(self.comparison(latents.to(seen.dtype), seen))
            if evidence is not None:
                entered = entered + self.search_in(evidence)
                evidence = None
            h = h + self.refine(entered)
            d4 = d4 + self.delta(h).float()
            levels.append(d4 * 4)
        disparity = _quadruple(d4) + F.pixel_shuffle(self.subpixel(h).float(), 4) * 4
        disparity = disparity.clamp(-4, 400)
        if self.upright:
            disparity = upright(disparity, warp(side, disparity))
        return Geometry(disparity, warp(side, disparity, self.kernel), hidden8, self.out4(h), levels)

    def _match16(self, h: Tensor, s16: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and disparity at stride 16, of coded features h matched around a prior (B, 1, H, W)."""
        m = self.match16(h, s16, prior)
        h = self.r16b(self.fuse16(self._cat(h, m.features, s16, m.disparity, m.entropy, m.peak, prior)))
        return h, m.disparity + self.disparity16(h).float()

    @staticmethod
    def _unmoved(hidden8: Tensor, side: Tensor, levels: list[Tensor]) -> Geometry:
        """Return the answer of a core without stride 4: the side view in place, no features beside hidden8."""
        batch, _, height, width = hidden8.shape
        disparity = F.interpolate(levels[-1], scale_factor=8.0, mode="bilinear", align_corners=False)
        nothing = hidden8.new_zeros(batch, 96, height * 2, width * 2)
        return Geometry(disparity, side.float(), hidden8, nothing, levels)
