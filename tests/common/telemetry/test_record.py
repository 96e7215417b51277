"""common.telemetry.record: records are values, and the bounds fit the wire."""

from common.stream.limits import LIMITS
from common.telemetry.record import MAX_BATCH_RECORDS, MAX_PLAIN_BYTES, Record


def test_records_are_values_that_do_not_print_their_content():
    assert Record(1, 2, b"secret") == Record(1, 2, b"secret") != Record(1, 2, b"other")
    assert "secret" not in repr(Record(1, 2, b"secret"))


def test_a_batch_cannot_grow_without_bounds():
    assert MAX_BATCH_RECORDS <= 256  # a byte holds its count
    assert LIMITS.max_telemetry_bytes <= MAX_PLAIN_BYTES <= LIMITS.max_message_bytes
