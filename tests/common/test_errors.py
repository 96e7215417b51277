"""The error tree: exit codes are distinct and documented, messages are one bounded line with the values."""

from __future__ import annotations

import copy
import inspect
import re
from pathlib import Path

import pytest

from common import errors
from common.errors import MdicError

SPEC = Path(__file__).parents[2] / "proto" / "BITSTREAM.md"
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, MdicError)]

SAMPLES = [
    (errors.UsageError("no such quality: 9"), "quality: 9"),
    (errors.ImageUnreadable("a/b.png", "not an image"), "a/b.png"),
    (errors.FrameSizeError(0, 5000), "0x5000"),
    (errors.DatasetError("/data", "no images"), "/data"),
    (errors.PairMissing("left/7.png"), "left/7.png"),
    (errors.Truncated(26, 3), "need 26 bytes, have 3"),
    (errors.Oversize(2000, 1000), "2000 bytes exceeds the limit of 1000"),
    (errors.BadMagic(b"\x89PNG"), "PNG"),
    (errors.ChecksumMismatch(0xBEEF, 0x1), "0xbeef"),
    (errors.UnknownVersion(2, 1), "version 2 (known: 1)"),
    (errors.UnknownVersion(9, (1, 2)), "known: 1, 2"),
    (errors.ForeignBundle("ab", "cd"), "bundle ab, but bundle cd"),
    (errors.CorruptPayload("3 bytes left"), "3 bytes left"),
    (errors.UnknownSection(200), "200"),
    (errors.FieldOutOfRange("height", 0, "64..4096"), "height is 0 (allowed: 64..4096)"),
    (errors.BundleNotFound("best", ["/x", Path("/y")]), "'best' not found (searched /x, /y)"),
    (errors.BundleCorrupt("tables", "hash differs"), "tables: hash differs"),
    (errors.CloudUnreachable("host:1", "refused"), "host:1"),
    (errors.PortInUse("[::]:50"), "[::]:50"),
    (errors.ProtocolViolation("frame before hello"), "frame before hello"),
    (errors.PeerRejected(7, "go away"), "(code 7): go away"),
    (errors.CameraError("v4l2:9", "no such device"), "v4l2:9"),
    (errors.CameraEnded("video:x", "after 3 frames"), "video:x ended"),
    (errors.CredentialsError("/keys/ca.pem", "expired"), "/keys/ca.pem: expired"),
    (errors.SpoolError("/var/spool", "in use"), "spool /var/spool: in use"),
    (errors.MissingDependency("torch", "cloud"), ".[cloud]"),
]


def test_every_class_has_an_exit_code_of_its_own():
    codes = [c.exit_code for c in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(1 <= code < 64 for code in codes)


def test_subclasses_stay_in_the_family_of_their_parent():
    for c in CLASSES:
        parent = c.__mro__[1]
        if parent not in (MdicError, Exception):
            assert c.exit_code // 10 == parent.exit_code // 10, c


def test_the_module_docstring_lists_the_whole_tree_with_its_codes():
    listed = dict(re.findall(r"(\w+) +(\d+)(?:\s|$)", errors.__doc__ or ""))
    assert {c.__name__: str(c.exit_code) for c in CLASSES}.items() <= listed.items()


def test_the_specification_lists_the_bitstream_errors_with_their_codes():
    rows = dict(re.findall(r"\| ([A-Z]\w+) \| (\d+) \|", SPEC.read_text()))
    leaves = [c for c in CLASSES if issubclass(c, errors.BitstreamError) and c is not errors.BitstreamError]
    assert rows == {c.__name__: str(c.exit_code) for c in leaves}


@pytest.mark.parametrize(("error", "part"), SAMPLES, ids=lambda v: type(v).__name__)
def test_messages_carry_the_offending_value(error: MdicError, part: str):
    assert part in str(error)
    assert str(error).isprintable()


def test_samples_cover_every_leaf():
    bases = {b for c in CLASSES for b in c.__mro__[1:]}
    assert {type(e) for e, _ in SAMPLES} >= {c for c in CLASSES if c not in bases}


@pytest.mark.parametrize(("error", "part"), SAMPLES, ids=lambda v: type(v).__name__)
def test_errors_survive_a_trip_to_another_process(error: MdicError, part: str):
    again = copy.copy(error)  # by the same __reduce__ as a worker process's queue
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_a_hostile_message_becomes_one_bounded_printable_line():
    text = str(errors.PeerRejected(1, "line\nline\x1b[2J\x00" + "x" * 100_000))
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) <= errors.MAX_MESSAGE_CHARS
