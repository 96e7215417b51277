"""The demo's figures: gathered from both processes and the pictures, then put into a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.quality import ms_ssim, ms_ssim_db, psnr
from common.types import RgbImage


@dataclass
class Row:
    """One way to show the main view, over all frames.

    Attributes:
        label: its name in the table.
        coded_bytes: bytes of the main view, a number per frame.
        psnr_db: per frame.
        ms_ssim_db: per frame.
        note: what a reader must know about it.
    """

    label: str
    coded_bytes: list[int] = field(default_factory=list)
    psnr_db: list[float] = field(default_factory=list)
    ms_ssim_db: list[float] = field(default_factory=list)
    note: str = ""

    def add(self, source: RgbImage, shown: RgbImage, coded_bytes: int) -> None:
        """Measure one frame as it is shown against its source."""
        self.coded_bytes.append(coded_bytes)
        self.psnr_db.append(psnr(source, shown))
        self.ms_ssim_db.append(ms_ssim_db(ms_ssim(source, shown)))

    def latest(self) -> str:
        """Return the last frame's figures for a picture's caption."""
        quality = f"{self.psnr_db[-1]:.1f} dB   MS-SSIM {self.ms_ssim_db[-1]:.1f}"
        return f"{self.coded_bytes[-1]:,} bytes   {quality}"

    def as_dict(self, pixels: int) -> dict[str, Any]:
        """Return means over the frames, ready for JSON."""
        mean_bytes = float(np.mean(self.coded_bytes))
        return {
            "label": self.label,
            "frames": len(self.coded_bytes),
            "bytes": round(mean_bytes, 1),
            "bpp": round(mean_bytes * 8 / pixels, 5),
            "psnr_db": round(float(np.mean(self.psnr_db)), 3),
            "ms_ssim_db": round(float(np.mean(self.ms_ssim_db)), 3),
            "note": self.note,
        }


def stream_lines(summary: dict[str, Any], paced: dict[str, Any], pace_fps: float) -> list[str]:
    """Return what the edge reported as table lines.

    Args:
        summary: of the stream at full speed.
        paced: of the stream that measures latency.
        pace_fps: the camera's frames per second in the latter.
    """
    frames, sides = summary["frames"], summary["side_states"]
    dropped = sum(sum(counts.values()) for view, counts in summary["dropped"].items() if view != "side")
    told = ", ".join(f"{count} with the side view {state}" for state, count in sides.items()) or "none"
    pixels = summary["height"] * summary["width"]
    main_bytes = summary["bytes"]["main"] / max(1, frames["sent"])
    side_bpp = summary.get("side_bpp")
    lines = [
        _line(
            "frames",
            f"{frames['captured']} captured, {frames['decoded']} rebuilt ({told}), {dropped} dropped",
        ),
        _line(
            "rate",
            f"{main_bytes * 8 / pixels:.4f} bpp for the main view, {main_bytes:,.0f} bytes a frame"
            + (f"; the side view's own {side_bpp:.3f} bpp ({summary['side_codec']})" if side_bpp else ""),
        ),
    ]
    if summary["fps"]:
        lines.append(_line("speed", f"{summary['fps']:.2f} frames per second, camera to picture"))
    if paced["latency_ms"]:
        count = paced["latency_ms"]["count"]
        told = f"over {count} frames at {pace_fps:.2f} per second"
        lines.append(
            _line("latency", f"{_percentiles(paced['latency_ms'])}; capture to acknowledged picture, {told}")
        )
    stages = {stage: spread for stage, spread in paced["encode_ms"].items() if spread}
    if stages:
        told = ", ".join(f"{stage} {spread['p50']:.1f}" for stage, spread in stages.items())
        lines.append(_line("encode ms", f"{told} (median)"))
    if paced["cloud_ms"]["decode"]:
        lines.append(_line("decode ms", f"{paced['cloud_ms']['decode']['p50']:.0f} (median)"))
    return lines


def picture_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of pictures: a head, then a line per row, then the notes."""
    width = max(len(row["label"]) for row in rows)
    lines = [f"  {'':<{width}}  {'bytes':>8}  {'bpp':>7}  {'PSNR dB':>8}  {'MS-SSIM dB':>10}"]
    for row in rows:
        lines.append(
            f"  {row['label']:<{width}}  {row['bytes']:>8,.0f}  {row['bpp']:>7.4f}  {row['psnr_db']:>8.2f}"
            f"  {row['ms_ssim_db']:>10.2f}" + (f"   {row['note']}" if row["note"] else "")
        )
    return lines


def _line(name: str, text: str) -> str:
    return f"  {name:<10} {text}"


def _percentiles(spread: dict[str, float]) -> str:
    return f"p50 {spread['p50']:.0f} ms, p95 {spread['p95']:.0f} ms, p99 {spread['p99']:.0f} ms"
