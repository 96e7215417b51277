"""The tokens file of a running server: changes take effect, mistakes do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_callers import Realm

from cloud.security.store import TokenStore
from common.errors import CredentialsError


def test_a_change_is_seen_once(tmp_path: Path) -> None:
    realm = Realm(tmp_path)
    store = TokenStore(realm.tokens_file)
    assert not store.refresh()
    realm.table["revoked"] = {"abc": 1}
    realm.save()
    assert store.refresh() and store.policy.revoked == {"abc": 1.0}
    assert not store.refresh()


@pytest.mark.parametrize("harm", ["garbage", "gone", "empty"])
def test_a_file_that_cannot_be_used_changes_nothing_and_is_told(harm: str, tmp_path: Path, caplog) -> None:
    realm = Realm(tmp_path)
    store = TokenStore(realm.tokens_file)
    before = store.policy
    if harm == "gone":
        realm.tokens_file.unlink()
    else:
        realm.tokens_file.write_text("{" if harm == "garbage" else "")
    assert not store.refresh() and store.policy is before
    assert "stay those read before" in caplog.text
    realm.table["revoked"] = {"abc": 1}
    realm.save()
    assert store.refresh() and store.policy.revoked


def test_a_server_does_not_start_without_a_good_file(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="cannot be read"):
        TokenStore(tmp_path / "none.json")
