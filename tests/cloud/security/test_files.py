"""The command line's TLS options go together or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.security.files import TlsFiles
from common.errors import UsageError

A, B, C = Path("a"), Path("b"), Path("c")


def test_options_that_go_together() -> None:
    assert TlsFiles.of_options(None, None, None) is None
    assert TlsFiles.of_options(A, B, None) == TlsFiles(A, B)
    assert TlsFiles.of_options(A, B, C) == TlsFiles(A, B, C)


@pytest.mark.parametrize(
    "options", [(A, None, None), (None, B, None), (None, None, C), (A, None, C), (None, B, C)]
)
def test_options_that_do_not(options) -> None:
    with pytest.raises(UsageError, match="go together"):
        TlsFiles.of_options(*options)
