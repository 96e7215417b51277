"""Make every picture of a pair that is to be judged: ours, AV1 at our bytes, the zero-bit controls, a light JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.downstream.rivals import EqualBytes, Rival
from benchmarks.downstream.scenes import PROTOCOL
from benchmarks.downstream.tally import Subject
from benchmarks.rd.codecs import CODECS
from benchmarks.rd.controls import controls
from benchmarks.rd.ours import Ours
from benchmarks.rd.protocol import Sample
from common.types import RgbImage

JPEG_QUALITY = 90
CONTROL_LABELS = {
    "side-copied": "side view copied",
    "best-shift": "side view, best whole-image shift",
    "oracle-warp": "oracle warp (true disparity, no residual)",
}


@dataclass(frozen=True, eq=False)
class Candidate:
    """Hold a picture to be judged.

    Attributes:
        subject: what it is.
        image: (H, W, 3) uint8 RGB.
        payload_bytes: bytes that count for the rate; None where they are not counted.
        extra: what else goes into its row.
    """

    subject: Subject
    image: RgbImage
    payload_bytes: int | None
    extra: dict[str, Any] = field(default_factory=dict)


def candidates(sample: Sample, ours: Ours, qualities: Sequence[int]) -> list[Candidate]:
    """Return every picture of one pair."""
    found = []
    pictures = ours.code(sample.main, sample.side, qualities, sample.side_lossy)
    for p in pictures:
        subject = Subject(Ours.name, Ours.label, "ours", p.quality)
        found.append(Candidate(subject, p.image, p.packet_bytes, {"mask_mean": float(p.mask.mean())}))
    search = EqualBytes(CODECS["av1"], sample.main)
    for p in pictures:
        whole, shrunk = search.whole(p.packet_bytes), search.shrunk(p.packet_bytes)
        found.append(_rival("av1", "AV1 intra, nearest bytes", p.quality, whole))
        # Where the full size fits, the shrunken one has nothing to add: its row is the same picture.
        found.append(_rival("av1-shrunk", "AV1 intra, shrunk where it must", p.quality, shrunk or whole))
    for name, (image, payload, note) in controls(sample, PROTOCOL).items():
        subject = Subject(name, CONTROL_LABELS.get(name, name), "control")
        found.append(Candidate(subject, image, payload, {"note": note} if note else {}))
    jpeg = CODECS["jpeg"].code(sample.main, JPEG_QUALITY)
    subject = Subject("jpeg-90", f"JPEG at quality {JPEG_QUALITY}", "reference")
    return [*found, Candidate(subject, jpeg.image, jpeg.payload_bytes)]


def _rival(method: str, label: str, quality: int, rival: Rival) -> Candidate:
    extra = {"crf": rival.setting, "factor": rival.factor}
    return Candidate(Subject(method, label, "codec", quality), rival.image, rival.payload_bytes, extra)
