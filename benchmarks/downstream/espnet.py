"""ESPNetv2 with its segmentation decoder, written from the paper; only a trained state dict is taken from outside.

Source: S. Mehta, M. Rastegari, L. Shapiro, H. Hajishirzi, *ESPNetv2: A Light-weight, Power Efficient, and General
Purpose Convolutional Neural Network*, CVPR 2019 (arXiv 1811.11431): the EESP unit (section 3.2, figure 1), hierarchical
feature fusion (from ESPNet, ECCV 2018), the strided unit with input reinforcement (figure 2), the layers
(table 1). The decoder, with an efficient pyramid pooling unit at each stride, is that of the authors' later release for
segmentation. Attribute names are those of the released state dict, so that it loads strictly; they are not ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BRANCHES = 4
"""Depth-wise dilated branches of an EESP unit, and the groups of its 1x1 convolutions."""
PYRAMID_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
PYRAMID_LEAST = 5
"""No branch of the pyramid works on fewer than 5x5 cells."""


@dataclass(frozen=True)
class Layout:
    """Say how wide and deep a network is; the defaults are the released one (s = 2.0, Cityscapes).

    Attributes:
        widths: channels at strides 2, 4, 8 and 16.
        repeats: plain EESP units at strides 8 and 16, behind the strided one.
        receptive: largest kernel extent, in pixels, of the units at stride 4, 8 (strided), 8, 16 (strided), 16.
        decoder: channels of the decoder at strides 16, 8 and 4.
        pyramid: channels inside each pyramid pooling unit.
        classes: channels of the output.
    """

    widths: tuple[int, int, int, int] = (32, 128, 256, 512)
    repeats: tuple[int, int] = (3, 7)
    receptive: tuple[int, int, int, int, int] = (13, 11, 9, 9, 7)
    decoder: tuple[int, int, int] = (64, 48, 32)
    pyramid: int = 10
    classes: int = 20


class EspNetV2(nn.Module):
    """Segment a picture: (N, 3, H, W) normalised float32 to (N, classes, H/2, W/2) logits.

    H and W must be multiples of 16.
    """

    def __init__(self, layout: Layout | None = None) -> None:
        super().__init__()
        layout = layout or Layout()
        at_2, at_4, at_8, at_16 = layout.widths
        self.base_net = _Encoder(layout)
        deep, middle, fine = layout.decoder
        inside = layout.pyramid
        self.bu_dec_l1 = _PyramidPooling(at_16, inside, deep)
        self.bu_dec_l2 = _PyramidPooling(deep, inside, middle)
        self.bu_dec_l3 = _PyramidPooling(middle, inside, fine)
        self.bu_dec_l4 = _PyramidPooling(fine, inside, layout.classes, last=True)
        self.merge_enc_dec_l2 = _Gated(at_8, deep)
        self.merge_enc_dec_l3 = _Gated(at_4, middle)
        self.merge_enc_dec_l4 = _Gated(at_2, fine)
        self.bu_br_l2, self.bu_br_l3, self.bu_br_l4 = (_norm_act(width) for width in layout.decoder)

    def forward(self, picture: Tensor) -> Tensor:
        """Return logits at half the picture's size."""
        at_2, at_4, at_8, at_16 = self.base_net(picture)
        out = self.bu_dec_l1(at_16)
        out = self.bu_dec_l2(self.bu_br_l2(_double(out) + self.merge_enc_dec_l2(at_8)))
        out = self.bu_dec_l3(self.bu_br_l3(_double(out) + self.merge_enc_dec_l3(at_4)))
        logits: Tensor = self.bu_dec_l4(self.bu_br_l4(_double(out) + self.merge_enc_dec_l4(at_2)))
        return logits


class _Encoder(nn.Module):
    """ESPNetv2 without its classifier: features at strides 2, 4, 8 and 16."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        at_2, at_4, at_8, at_16 = layout.widths
        reach = layout.receptive
        self.level1 = _Unit(3, at_2, 3, stride=2)
        self.level2_0 = _Strided(at_2, at_4, reach[0])
        self.level3_0 = _Strided(at_4, at_8, reach[1])
        self.level3 = nn.ModuleList(_Eesp(at_8, at_8, reach[2]) for _ in range(layout.repeats[0]))
        self.level4_0 = _Strided(at_8, at_16, reach[3])
        self.level4 = nn.ModuleList(_Eesp(at_16, at_16, reach[4]) for _ in range(layout.repeats[1]))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        at_2 = self.level1(picture)
        at_4 = self.level2_0(at_2, picture)
        at_8 = self.level3_0(at_4, picture)
        for unit in self.level3:
            at_8 = unit(at_8)
        at_16 = self.level4_0(at_8, picture)
        for unit in self.level4:
            at_16 = unit(at_16)
        return at_2, at_4, at_8, at_16


class _Unit(nn.Module):
    """Convolution, batch norm and, unless told otherwise, PReLU; padded to keep the size at stride 1."""

    def __init__(
        self, inside: int, out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)
        self.act = nn.PReLU(out) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class _NormAct(nn.Module):
    """Batch norm and PReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(width)
        self.act = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(x))
        return y


class _DepthWise(nn.Module):
    """A dilated 3x3 convolution, one filter a channel."""

    def __init__(self, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class _Eesp(nn.Module):
    """EESP unit: reduce, split over dilations, fuse hierarchically, expand; the residual where shapes agree."""

    def __init__(self, inside: int, out: int, receptive: int, stride: int = 1) -> None:
        super().__init__()
        width = out // BRANCHES
        self.stride = stride
        self.proj_1x1 = _Unit(inside, width, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(_DepthWise(width, stride, rate) for rate in dilations(receptive))
        self.br_after_cat = _NormAct(out)
        self.conv_1x1_exp = _Unit(out, out, 1, groups=BRANCHES, active=False)
        self.module_act = nn.PReLU(out)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.proj_1x1(x)
        fused: list[Tensor] = []
        for branch in self.spp_dw:
            part = branch(reduced)
            fused.append(
                part + fused[-1] if fused else part
            )  # each sum takes the next wider view: no gridding
        y: Tensor = self.conv_1x1_exp(self.br_after_cat(torch.cat(fused, 1)))
        if self.stride == 2:
            return y  # the strided unit activates after it has joined its parts
        activated: Tensor = self.module_act(y + x if y.shape == x.shape else y)
        return activated


class _Strided(nn.Module):
    """Strided EESP unit: pooled input beside new channels, plus the shrunken picture itself."""

    def __init__(self, inside: int, out: int, receptive: int) -> None:
        super().__init__()
        self.eesp = _Eesp(inside, out - inside, receptive, stride=2)
        self.inp_reinf = nn.Sequential(_Unit(3, 3, 3), _Unit(3, out, 1, active=False))
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor, picture: Tensor) -> Tensor:
        joined = torch.cat([_halve(x), self.eesp(x)], 1)
        small = picture
        while small.shape[-2] > joined.shape[-2]:
            small = _halve(small)
        y: Tensor = self.act(joined + self.inp_reinf(small))
        return y


class _PyramidPooling(nn.Module):
    """Efficient pyramid pooling: depth-wise filters at five sizes of the map, shuffled and merged by groups."""

    def __init__(self, inside: int, width: int, out: int, last: bool = False) -> None:
        super().__init__()
        wide = width * len(PYRAMID_SCALES)
        self.projection_layer = _Cbr(inside, width, 1)
        self.stages = nn.ModuleList(
            nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False) for _ in PYRAMID_SCALES
        )
        self.merge_layer = nn.Sequential(
            _Br(wide),
            nn.ChannelShuffle(len(PYRAMID_SCALES)),
            _Cbr(wide, width, 3, groups=width),
            nn.Conv2d(width, out, 1, bias=last),
        )
        self.br = nn.Identity() if last else _Br(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_layer(x)
        size = (x.shape[-2], x.shape[-1])
        parts = []
        for scale, stage in zip(PYRAMID_SCALES, self.stages, strict=True):
            at = (
                max(math.ceil(size[0] * scale), PYRAMID_LEAST),
                max(math.ceil(size[1] * scale), PYRAMID_LEAST),
            )
            if scale < 1:
                parts.append(_resize(stage(F.adaptive_avg_pool2d(x, at)), size))
            elif scale > 1:
                parts.append(F.adaptive_avg_pool2d(stage(_resize(x, at)), size))
            else:
                parts.append(stage(x))
        y: Tensor = self.br(self.merge_layer(torch.cat(parts, 1)))
        return y


class _Gated(nn.Module):
    """Encoder features for the decoder: a grouped 3x3 convolution, its channels weighed by the pooled input."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inside, out, 1, bias=False), nn.Sigmoid()
        )
        self.expansion_layer = _Cbr(inside, out, 3, groups=math.gcd(inside, out))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expansion_layer(x) * self.wt_layer(x)
        return y


class _Cbr(nn.Module):
    """Convolution, batch norm, PReLU under the decoder's names."""

    def __init__(self, inside: int, out: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(inside, out, kernel, 1, kernel // 2, groups=groups, bias=False)
        self.cbr = nn.Sequential(conv, nn.BatchNorm2d(out), nn.PReLU(out))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cbr(x)
        return y


class _Br(nn.Module):
    """Batch norm and PReLU under the decoder's names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.br = _norm_act(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.br(x)
        return y


def dilations(receptive: int) -> list[int]:
    """Return the ascending dilations of the branches, kernels of 3, 5, 7, ...; one past the limit becomes 3."""
    extents = [3 + 2 * branch for branch in range(BRANCHES)]
    return sorted((extent - 1) // 2 if extent <= receptive else 1 for extent in extents)


def _norm_act(width: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(width), nn.PReLU(width))


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def _double(x: Tensor) -> Tensor:
    return _resize(x, (2 * x.shape[-2], 2 * x.shape[-1]))


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
