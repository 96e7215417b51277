"""Judge a trained variant on held-out pairs: real bytes, decoded again, at every quality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.ablation.coders import coder_for
from benchmarks.rd.metrics import Judge
from benchmarks.rd.protocol import Sample
from cloud.diffusion.sampler import frame_noise
from cloud.export import PAD_MULTIPLE
from cloud.models.codec import Codec
from cloud.text.captioner import Captioner
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import CorruptPayload
from common.types import RgbImage


@dataclass(frozen=True)
class Setting:
    """How a variant is judged.

    Attributes:
        qualities: indices.
        side: decode with the side view.
        steps: denoising steps.
        device: of the networks; the entropy coding runs on the CPU.
    """

    qualities: tuple[int, ...]
    side: bool
    steps: int
    device: str


class Subject:
    """A trained variant that codes and rebuilds pictures."""

    def __init__(self, model: Codec, setting: Setting, captioner: Captioner | None) -> None:
        """Take the model; `captioner` says what a side view shows, None leaves the text out."""
        self._coder, self._setting, self._captioner = coder_for(model), setting, captioner
        self._model = model.to(setting.device).eval()

    @torch.inference_mode()
    def code(self, sample: Sample) -> list[tuple[dict[str, Any], RgbImage]]:
        """Return what is known of each quality's bytes, and the picture rebuilt from them.

        Raises:
            CorruptPayload: the decoder got other latents out of the bytes than the encoder put in.
        """
        height, width = sample.main.shape[:2]
        main = self._planes(sample.main)
        given = sample.side if self._setting.side else None
        side = torch.zeros_like(main) if given is None else self._planes(given)
        present = torch.tensor([float(given is not None)], device=main.device)
        tags = None
        if given is not None and self._captioner is not None:
            tags = torch.tensor(self._captioner.tags(given).presence, device=main.device)[None]
        shape = (self._model.config.diffusion_channels, main.shape[2] // 8, main.shape[3] // 8)
        noise = frame_noise("", 0, shape)[None].to(main.device)
        session = SessionFacts(bytes(8), height, width)
        out = []
        for quality in self._setting.qualities:
            at = torch.tensor([quality], device=main.device)
            y, z = (part[0].float().cpu().numpy() for part in self._model.analysis(main, at))
            coded = self._coder.encode(y, z, quality)
            again = self._coder.decode(coded.payload, quality, *y.shape[1:])
            if not np.array_equal(again, coded.y_hat):
                raise CorruptPayload(
                    f"{sample.name}, quality {quality}: the bytes do not give the latents back"
                )
            y_hat = torch.from_numpy(again)[None].to(main.device)
            decoded = self._model.decode(y_hat, at, side, present, noise, self._setting.steps, tags=tags)
            packet = Packet(quality, coded.payload).serialize(session)
            facts = {
                "bytes": len(packet),
                "bpp": len(packet) * 8 / (height * width),
                "payload_bytes": len(coded.payload),
                "information_bits": coded.information_bits,
                "mask_mean": float(decoded.blend.mask.mean()),
            }
            out.append((facts, _picture(decoded.blend.image, height, width)))
        return out

    def _planes(self, image: RgbImage) -> Tensor:
        """Return (1, 3, H, W) in [0, 1], padded as the edge pads."""
        height, width = image.shape[:2]
        planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        pad = (0, -width % PAD_MULTIPLE, 0, -height % PAD_MULTIPLE)
        return F.pad(planes, pad, mode="replicate").to(self._setting.device)


def evaluate(
    subject: Subject,
    samples: Iterable[Sample],
    qualities: Sequence[int],
    judge: Judge,
    progress: Callable[[int], Any] | None = None,
) -> list[dict[str, Any]]:
    """Return a dict per picture and quality: image, quality, bytes, bpp and the metrics."""
    rows = []
    for sample in samples:
        coded = subject.code(sample)
        judged = judge.measure(sample.main, [picture for _, picture in coded])
        for quality, (facts, _), metrics in zip(qualities, coded, judged, strict=True):
            rows.append({"image": sample.name, "quality": quality, **facts, **metrics})
        if progress:
            progress(1)
    return rows


def _picture(image: Tensor, height: int, width: int) -> NDArray[np.uint8]:
    levels = ((image[0, :, :height, :width].float() + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())
