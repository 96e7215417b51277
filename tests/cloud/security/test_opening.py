"""From files to a guard and credentials."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_callers import Realm

from cloud.security.opening import open_security
from common.errors import CredentialsError


def test_each_combination(tmp_path: Path) -> None:
    realm = Realm(tmp_path)
    for tls, tokens, guarded in (
        (None, None, False),
        (realm.files, None, False),  # encrypted, but anybody may come
        (realm.mutual, None, True),
        (None, realm.tokens_file, True),
        (realm.mutual, realm.tokens_file, True),
    ):
        guard, credentials = open_security(tls, tokens)
        assert (guard is not None) is guarded and (credentials is not None) is (tls is not None)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"none\.json: the tokens file cannot be read"):
        open_security(None, tmp_path / "none.json")
