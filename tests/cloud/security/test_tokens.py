"""Tokens and their file: what is signed holds, what is not is refused, and nothing else than documented comes out."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud.security import tokens
from cloud.security.quotas import Quota
from cloud.security.tokens import LEEWAY_S, ROLES, Policy, issue, key_id, new_table, parse_policy
from cloud.status import Unauthenticated
from common.errors import CredentialsError

KEY = Ed25519PrivateKey.generate()
POLICY = parse_policy(new_table(KEY.public_key()))
PEM = serialization.Encoding.PEM
PKCS8, PLAIN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def test_what_was_issued_is_what_is_read() -> None:
    token, claims = issue(KEY, "car-1", 1000.0, 60.0, frozenset({"side"}))
    assert POLICY.claims(token, 1001.0) == claims
    assert (claims.vehicle, claims.issued_s, claims.expires_s) == ("car-1", 1000.0, 1060.0)
    assert claims.roles == {"side"}
    assert POLICY.claims(issue(KEY, "car-1", 1000.0, 60.0)[0], 1001.0).roles == ROLES
    assert issue(KEY, "car-1", 1000.0, 60.0)[1].token_id != claims.token_id


@pytest.mark.parametrize(
    ("now_s", "words"),
    [(1060 + LEEWAY_S - 0.1, None), (1060 + LEEWAY_S, "expired"), (1000 - LEEWAY_S, None),
     (999 - LEEWAY_S, "not valid yet")],
)  # fmt: skip
def test_a_token_has_its_time(now_s: float, words: str | None) -> None:
    token, _ = issue(KEY, "car-1", 1000.0, 60.0)
    with contextlib.nullcontext() if words is None else pytest.raises(Unauthenticated, match=words):
        POLICY.claims(token, now_s)


def test_revoking_one_token_or_all_of_a_vehicle() -> None:
    (first, claims), (second, _), (other, _) = (issue(KEY, name, 1000.0, 60.0) for name in ("a", "a", "b"))
    one = Policy(POLICY.keys, revoked={claims.token_id: 1060.0})
    with pytest.raises(Unauthenticated, match="revoked"):
        one.claims(first, 1001.0)
    assert one.claims(second, 1001.0)
    every = Policy(POLICY.keys, void_before={"a": 1000.0})
    for token in (first, second):
        with pytest.raises(Unauthenticated, match="revoked"):
            every.claims(token, 1001.0)
    assert every.claims(other, 1001.0) and every.claims(issue(KEY, "a", 1000.5, 60.0)[0], 1001.0)


def test_keys_can_be_changed_without_a_day_of_darkness() -> None:
    new = Ed25519PrivateKey.generate()
    both = parse_policy(new_table(KEY.public_key(), new.public_key()))
    for key in (KEY, new):
        assert both.claims(issue(key, "car-1", 1000.0, 60.0)[0], 1001.0).vehicle == "car-1"
    with pytest.raises(Unauthenticated):
        parse_policy(new_table(new.public_key())).claims(issue(KEY, "car-1", 1000.0, 60.0)[0], 1001.0)


@pytest.mark.parametrize(
    "changes",
    [{"sub": 3}, {"sub": "../etc"}, {"jti": 5}, {"iat": "x"}, {"exp": "x"}, {"exp": 1e300}, {"exp": None},
     {"aud": "other"}, {"roles": "main"}, {"roles": ["root"]}, {"roles": [3]}, {"roles": [["main"]]}, {"iat": True}],
)  # fmt: skip
def test_signed_nonsense_is_no_token(changes) -> None:
    claims = {"sub": "car-1", "jti": "1", "iat": 1000, "exp": 1060, "aud": "mdic-stream", **changes}
    headers = {"kid": key_id(KEY.public_key())}
    body = json.dumps(
        claims
    ).encode()  # signed as bytes: the library's own checks on claims are not in the way
    token = jwt.PyJWS().encode(body, KEY, "EdDSA", headers)
    with pytest.raises(Unauthenticated, match="not valid"):
        POLICY.claims(token, 1001.0)


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.text("abcXYZ019-_=", max_size=60), min_size=3, max_size=3).map(".".join),
    )
)
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        POLICY.claims(text, 1001.0)


@given(st.data())
def test_no_character_of_a_token_can_be_changed(data) -> None:
    token, claims = issue(KEY, "car-1", 1000.0, 60.0)
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + data.draw(st.sampled_from("abcdefgXYZ019-_.")) + token[at + 1 :]
    try:
        assert (
            POLICY.claims(changed, 1001.0) == claims
        )  # the last character of base64 has bits that mean nothing
    except Unauthenticated:
        return


def test_a_token_of_megabytes_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens.jwt, "get_unverified_header", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(Unauthenticated):
        POLICY.claims("a.b." + "c" * tokens.MAX_TOKEN_CHARS, 1001.0)


def test_the_file_round_trips(tmp_path: Path) -> None:
    table = new_table(KEY.public_key())
    table["revoked"] = {"abc": 5}
    table["quotas"] = {"default": {"streams": 2}, "vehicles": {"car-1": {"frames_per_s": 9}}}
    path = tmp_path / "tokens.json"
    path.write_bytes(tokens.dump_table(table))
    policy = tokens.read_policy(path)
    assert policy.revoked == {"abc": 5.0} and list(policy.keys) == [key_id(KEY.public_key())]
    assert policy.quota("car-1") == Quota(streams=2, frames_per_s=9)
    assert policy.quota("car-2") == Quota(streams=2)
    assert b"PRIVATE" not in path.read_bytes()


EC_PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version is 2"),
        ({"keys": {}}, "no key"),
        ({"keys": []}, "keys is not a table"),
        ({"keys": {"a": "xyz"}}, "key 'a' is not a public key"),
        ({"keys": {"a": EC_PEM}}, "not an Ed25519"),
        ({"revokd": {}}, "unknown entry 'revokd'"),
        ({"revoked": ["abc"]}, "revoked is not a table"),
        ({"revoked": {"abc": "soon"}}, "revoked 'abc'"),
        ({"void_before": {"car-1": True}}, "void_before 'car-1'"),
        ({"quotas": {"default": {"x": 1}}}, "'x' is unknown"),
        ({"quotas": {"car-1": {}}}, "more than default and vehicles"),
        ({"quotas": {"vehicles": {"car-1": 3}}}, "car-1 is not a table"),
    ],
)
def test_each_fault_of_the_file_has_its_line(changes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({**new_table(KEY.public_key()), **changes}))
    with pytest.raises(CredentialsError, match=words) as caught:
        tokens.read_policy(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not JSON"), ("[1]", "no table"), ("", "empty"), ("[" * 9999, "not JSON")]
)
def test_what_is_no_table(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(CredentialsError, match=words):
        tokens.read_table(path)


def test_signing_keys(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for key, words in (
        (KEY.private_bytes(PEM, PKCS8, PLAIN), None),
        (ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, PLAIN), "not an Ed25519"),
        (KEY.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"x")), "without a passphrase"),
        (b"nothing", "no private key"),
    ):
        path.write_bytes(key)
        path.chmod(0o600)
        with contextlib.nullcontext() if words is None else pytest.raises(CredentialsError, match=words):
            assert key_id(tokens.load_signing_key(path).public_key()) == key_id(KEY.public_key())
    path.chmod(0o644)
    with pytest.raises(CredentialsError, match="every user"):
        tokens.load_signing_key(path)
