from __future__ import annotations

from common.stream.messages import Telemetry
from common.types import SideCodec
from edge.spool.records import ROW_BYTES, SpoolFormat


def test_size_counts_everything(make) -> None:
    told = (Telemetry(0, 0, "oxts", b"12345"),)
    assert make.frame(0, telemetry=told).size == ROW_BYTES + 50 + 200 + 5
    assert make.frame(0, side=None).size == ROW_BYTES + 50


def test_format_as_text(make) -> None:
    form = make.form(SideCodec.HEVC)
    assert form.inter and form.has_side and not make.form().inter
    assert SpoolFormat.from_text(form.to_text()) == form
    assert not SpoolFormat(2, "00", 64, 64).has_side
