"""`mdic-cloud token`: issue, revoke, show."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from cloud.__main__ import main
from cloud.security.tokens import read_policy
from cloud.status import Unauthenticated
from common.errors import CredentialsError, UsageError


@pytest.fixture
def pki(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    main(["certs", "--out", str(tmp_path), "--vehicle", "car-1", "--tokens"])
    capsys.readouterr()
    return tmp_path


def say(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict:
    assert main(["token", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def issue(capsys: pytest.CaptureFixture[str], pki: Path, name: str, *options: str) -> dict:
    return say(capsys, "issue", "--key", pki / "token-key.pem", "--out", pki / name, *options)


def verdict(capsys: pytest.CaptureFixture[str], pki: Path, name: str) -> str:
    return say(capsys, "show", pki / name, "--tokens", pki / "tokens.json")["verdict"]


def test_issue_and_show(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = issue(capsys, pki, "new", "--vehicle", "car-1", "--days", "0.5", "--roles", "side,probe")
    assert told["roles"] == ["probe", "side"] and told["expires"] - told["issued"] == pytest.approx(43200)
    assert stat.S_IMODE((pki / "new").stat().st_mode) == 0o600
    shown = say(capsys, "show", pki / "new", "--tokens", pki / "tokens.json")
    assert shown == {**told, "verdict": "valid"}
    token = (pki / "new").read_text().strip()
    assert read_policy(pki / "tokens.json").claims(token, time.time()).vehicle == "car-1"
    assert token.split(".")[2] not in json.dumps(shown)


def test_a_token_file_is_not_overwritten(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CredentialsError, match="not overwritten"):
        issue(capsys, pki, "car-1.token", "--vehicle", "car-1")


def test_revoke_by_file_by_id_and_by_vehicle(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [issue(capsys, pki, name, "--vehicle", "car-1")["id"] for name in ("a", "b", "c")]
    tokens = ("--tokens", pki / "tokens.json")
    assert say(capsys, "revoke", *tokens, "--token", pki / "a")["id"] == ids[0]
    assert say(capsys, "revoke", *tokens, "--id", ids[1])["revoked"]
    assert [verdict(capsys, pki, name) for name in ("a", "b", "c", "car-1.token")] == [
        "the token was revoked", "the token was revoked", "valid", "valid"
    ]  # fmt: skip
    say(capsys, "revoke", *tokens, "--vehicle", "car-1")
    assert verdict(capsys, pki, "c") == verdict(capsys, pki, "car-1.token") == "the token was revoked"
    issue(capsys, pki, "d", "--vehicle", "car-1")
    assert verdict(capsys, pki, "d") == "valid"  # one issued afterwards is good
    with pytest.raises(Unauthenticated):
        read_policy(pki / "tokens.json").claims((pki / "c").read_text().strip(), time.time())


def test_the_list_of_revoked_tokens_does_not_grow_for_ever(
    pki: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pki / "tokens.json"
    table = json.loads(path.read_text())
    table["revoked"] = {"long-ago": time.time() - 2 * 86400, "soon": time.time() + 60}
    path.write_text(json.dumps(table))
    say(capsys, "revoke", "--tokens", path, "--id", "new")
    assert set(json.loads(path.read_text())["revoked"]) == {"soon", "new"}


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["issue", "--vehicle", "a/b"], UsageError, "vehicle"),
        (["issue", "--vehicle", "a", "--days", "0"], UsageError, "--days"),
        (["issue", "--vehicle", "a", "--days", "nan"], UsageError, "--days"),
        (["issue", "--vehicle", "a", "--roles", "root"], UsageError, "--roles"),
        (["issue", "--vehicle", "a", "--roles", ""], UsageError, "--roles"),
        (["revoke", "--token", "tokens.json"], CredentialsError, "no token"),
        (["revoke", "--token", "none"], CredentialsError, "cannot be read"),
        (["revoke", "--vehicle", "../x"], UsageError, "vehicle"),
        (["show", "foreign"], CredentialsError, "not valid"),
    ],
)
def test_mistakes(words: list[str], error: type[Exception], message: str, pki: Path) -> None:
    (pki / "foreign").write_text("aaaa.bbbb.cccc")
    (pki / "foreign").chmod(0o600)
    action, *rest = words
    rest = [str(pki / word) if word in ("tokens.json", "none", "foreign") else word for word in rest]
    where = ["--key", "token-key.pem", "--out", "new"] if action == "issue" else ["--tokens", "tokens.json"]
    where = [word if word.startswith("--") else str(pki / word) for word in where]
    before = (pki / "tokens.json").read_bytes()
    with pytest.raises(error, match=message):
        main(["token", action, *where, *rest])
    assert (pki / "tokens.json").read_bytes() == before and not (pki / "new").exists()
