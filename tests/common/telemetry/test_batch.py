"""common.telemetry.batch: records come back byte by byte, whatever they hold."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CorruptPayload
from common.synthetic import OxtsRecorder
from common.telemetry.batch import pack_batch, unpack_batch
from common.telemetry.record import MAX_BATCH_RECORDS, MAX_PLAIN_BYTES, Record

tokens = st.one_of(
    st.from_regex(rb"-?[0-9]{1,9}(\.[0-9]{1,14})?(e-[0-9]{2})?", fullmatch=True), st.binary(max_size=6)
)
lines = st.builds(lambda parts, end: b" ".join(parts) + end, st.lists(tokens, max_size=5),
                  st.sampled_from([b"", b"\n", b" \r\n"]))  # fmt: skip


@st.composite
def batches(draw):
    seqs = sorted(draw(st.sets(st.integers(0, 1 << 60), min_size=1, max_size=6)))
    return [Record(seq, draw(st.integers(0, (1 << 63) - 1)), draw(lines)) for seq in seqs]


@given(batches())
def test_records_come_back(records):
    assert unpack_batch(pack_batch(records), records[0].seq, records[0].capture_ns) == records


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=1, max_size=8))
def test_rows_of_numbers_come_back(rows):
    texts = [" ".join(f"{value:.14g}" for value in row).encode() for row in rows]
    records = [Record(i, i, text) for i, text in enumerate(texts)]
    assert unpack_batch(pack_batch(records), 0, 0) == records


def test_an_oxts_drive_is_packed_as_numbers():
    recorder = OxtsRecorder(4)
    records = [Record(i, 10**18 + i * 10**8, recorder.record(i)) for i in range(10)]
    data = pack_batch(records)
    assert data[0] == 1 and len(data) < sum(len(record.data) for record in records) / 2
    assert unpack_batch(data, 0, 10**18) == records


def test_records_that_differ_in_shape_stay_text():
    assert pack_batch([Record(0, 0, b"1 2"), Record(1, 0, b"1 2 3")])[0] == 0
    assert pack_batch([Record(0, 0, b"1 2\n"), Record(1, 0, b"1 2")])[0] == 0
    assert pack_batch([Record(0, 0, b"1 two")])[0] == 0
    assert pack_batch([Record(0, 0, b"1 2" * 1)])[0] == 1


@pytest.mark.parametrize(
    "records",
    [
        [],
        [Record(i, 0, b"1") for i in range(MAX_BATCH_RECORDS + 1)],
        [Record(3, 0, b"1"), Record(3, 0, b"2")],
    ],
)
def test_what_is_no_batch_is_refused(records):
    with pytest.raises(ValueError, match="batch"):
        pack_batch(records)


@given(st.binary(max_size=80))
def test_foreign_bytes_are_a_batch_or_one_error(data):
    try:
        records = unpack_batch(data, 7, 9)
    except CorruptPayload:
        return
    assert records[0].seq == 7 and sum(len(record.data) for record in records) <= MAX_PLAIN_BYTES


@given(st.data())
def test_a_changed_batch_is_another_batch_or_one_error(data):
    packed = bytearray(
        pack_batch([Record(i, i * 100, f"{i} {i / 3:.14g} x".encode()[: 20 - i]) for i in range(3)])
    )
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    with suppress(CorruptPayload):
        unpack_batch(bytes(packed), 0, 0)


def test_every_prefix_is_refused():
    packed = pack_batch([Record(0, 5, b"1.5 2\n"), Record(1, 9, b"1.25 3\n")])
    for size in range(len(packed)):
        with pytest.raises(CorruptPayload):
            unpack_batch(packed[:size], 0, 5)


def test_times_before_zero_and_numbers_past_64_bits_are_refused():
    packed = pack_batch([Record(5, 1000, b"a"), Record(6, 0, b"b")])
    assert unpack_batch(packed, 5, 1000)[1].capture_ns == 0
    with pytest.raises(CorruptPayload, match="range"):
        unpack_batch(packed, 5, 999)
    with pytest.raises(CorruptPayload, match="range"):
        unpack_batch(packed, (1 << 64) - 1, 1000)
