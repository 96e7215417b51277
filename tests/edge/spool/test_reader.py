from __future__ import annotations

from pathlib import Path

from common.stream.sender import Settled
from edge.spool import Spool, SpoolReader


def test_ledger_of_any_length_is_read_in_parts(folder: Path, make) -> None:
    spool = Spool(folder, 1 << 24)
    form = spool.format_id(make.form())
    for start in range(0, 2400, 600):
        spool.append(form, [make.frame(n, side=None) for n in range(start, start + 600)])
    assert [row["seq"] for row in spool.ledger()] == list(range(2400))
    spool.close()


def test_lines_keep_the_number_they_were_settled_under(spool: Spool, make) -> None:
    form = spool.format_id(make.form())
    spool.append(form, [make.frame(n) for n in range(3)])
    spool.set_base(10)
    spool.settle(Settled(kept=(0,)))
    spool.set_base(500)  # the sink was emptied
    reader = SpoolReader(spool.folder)
    assert [row["seq"] for row in reader.ledger()] == [10, 501, 502]
    assert reader.base == 500
    reader.close()
