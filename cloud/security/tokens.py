"""Per-vehicle tokens: signed (Ed25519, RFC 8037), expiring, revocable.

The cloud holds public keys only, in the tokens file: whoever reads it can check tokens and make none. The file
is JSON:

    {"version": 1,
     "keys": {"KEY-ID": "-----BEGIN PUBLIC KEY-----..."},
     "revoked": {"TOKEN-ID": EXPIRY},           seconds since 1970; entries past their expiry may be dropped
     "void_before": {"VEHICLE": SECONDS},       tokens of that vehicle issued until then are void
     "quotas": {"default": {...}, "vehicles": {"VEHICLE": {...}}}}      as in cloud/security/quotas.py
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud.security.quotas import Quota
from cloud.status import Unauthenticated
from common.errors import CredentialsError
from common.secretfile import read_file
from common.stream.convert import vehicle_problem

ALGORITHM = "EdDSA"
AUDIENCE = "mdic-stream"
"""Written into every token: one made with the same key for something else is not one of ours."""
ROLES = frozenset({"main", "side", "probe"})
LEEWAY_S = 5.0
"""How far the clocks of who issues and who checks may be apart."""
MAX_TOKEN_CHARS = 4096
_VERSION = 1


@dataclass(frozen=True)
class Claims:
    """Say what a valid token says.

    Attributes:
        vehicle: whose token it is.
        token_id: its number, for revoking.
        issued_s: when it was made, in seconds since 1970.
        expires_s: when it ends, likewise.
        roles: what it is good for: "main" and "side" views, "probe" (health and reflection alone).
    """

    vehicle: str
    token_id: str
    issued_s: float
    expires_s: float
    roles: frozenset[str] = ROLES


@dataclass(frozen=True)
class Policy:
    """Hold one state of the tokens file, checked."""

    keys: Mapping[str, Ed25519PublicKey]
    revoked: Mapping[str, float] = field(default_factory=dict)
    void_before: Mapping[str, float] = field(default_factory=dict)
    default_quota: Quota = field(default_factory=Quota)
    quotas: Mapping[str, Quota] = field(default_factory=dict)

    def quota(self, vehicle: str) -> Quota:
        """Return the quota of a vehicle."""
        return self.quotas.get(vehicle, self.default_quota)

    def claims(self, token: str, now_s: float) -> Claims:
        """Return what `token` says.

        Raises:
            Unauthenticated: it is not signed by one of the keys, malformed, expired or revoked.
        """
        found = decode(token, self.keys)
        self.check(found, now_s)
        return found

    def check(self, claims: Claims, now_s: float) -> None:
        """Look whether a token that was valid once still is.

        Raises:
            Unauthenticated: it is not.
        """
        if now_s >= claims.expires_s + LEEWAY_S:
            raise Unauthenticated("the token has expired")
        if claims.issued_s > now_s + LEEWAY_S:
            raise Unauthenticated("the token is not valid yet")
        if claims.token_id in self.revoked or claims.issued_s <= self.void_before.get(
            claims.vehicle, -math.inf
        ):
            raise Unauthenticated("the token was revoked")


def decode(token: str, keys: Mapping[str, Ed25519PublicKey]) -> Claims:
    """Return the claims of a token signed by one of `keys`, whatever the time.

    Raises:
        Unauthenticated: it is not signed by one of them, or malformed.
    """
    # One sentence for all: how far a forger came is none of its business.
    invalid = Unauthenticated("the token is not valid")
    if len(token) > MAX_TOKEN_CHARS:
        raise invalid
    try:
        key = keys.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise invalid
        options: Any = {
            "require": ["sub", "jti", "iat", "exp", "aud"],
            "verify_exp": False,
            "verify_iat": False,
        }
        payload = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, options=options)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise invalid from None
    vehicle, token_id = payload["sub"], payload["jti"]
    issued, expires = payload["iat"], payload["exp"]
    roles = payload.get("roles", sorted(ROLES))
    sound = (
        isinstance(vehicle, str)
        and vehicle_problem(vehicle) is None
        and isinstance(token_id, str)
        and _is_time(issued)
        and _is_time(expires)
        and isinstance(roles, list)
        and all(role in ROLES for role in roles if isinstance(role, str))
        and all(isinstance(role, str) for role in roles)
    )
    if not sound:
        raise invalid
    return Claims(vehicle, token_id, float(issued), float(expires), frozenset(roles))


def issue(
    key: Ed25519PrivateKey, vehicle: str, now_s: float, lifetime_s: float, roles: frozenset[str] | None = None
) -> tuple[str, Claims]:
    """Return a new token and what it says; without `roles` it is good for everything the vehicle may do."""
    claims = Claims(
        vehicle, secrets.token_hex(8), round(now_s, 3), round(now_s + lifetime_s, 3), roles or ROLES
    )
    payload: dict[str, Any] = {
        "sub": vehicle,
        "jti": claims.token_id,
        "iat": claims.issued_s,
        "exp": claims.expires_s,
        "aud": AUDIENCE,
    }
    if roles is not None:
        payload["roles"] = sorted(roles)
    return jwt.encode(payload, key, algorithm=ALGORITHM, headers={"kid": key_id(key.public_key())}), claims


def key_id(key: Ed25519PublicKey) -> str:
    """Return the key's name in tokens and in the tokens file."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key that makes tokens.

    Raises:
        CredentialsError: the file holds none, or is not private.
    """
    data = read_file(path, "token key", secret=True)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialsError(path, "holds no private key in PEM form without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CredentialsError(path, "is not an Ed25519 key")
    return key


def read_table(path: Path) -> dict[str, Any]:
    """Return the tokens file as it stands, after checking it.

    Raises:
        CredentialsError: it cannot be read or used.
    """
    try:
        table = json.loads(read_file(path, "tokens file"))
    except (ValueError, RecursionError):
        raise CredentialsError(path, "the tokens file is not JSON") from None
    if not isinstance(table, dict):
        raise CredentialsError(path, "the tokens file holds no table")
    try:
        parse_policy(table)
    except ValueError as error:
        raise CredentialsError(path, f"tokens file: {error}") from None
    return table


def read_policy(path: Path) -> Policy:
    """Return the checked content of the tokens file.

    Raises:
        CredentialsError: it cannot be read or used.
    """
    return parse_policy(read_table(path))


def parse_policy(table: Mapping[str, Any]) -> Policy:
    """Check a tokens file's table.

    Raises:
        ValueError: it breaks the format; the message says where.
    """
    if table.get("version") != _VERSION:
        raise ValueError(f"version is {table.get('version')!r}, not {_VERSION}")
    unknown = set(table) - {"version", "keys", "revoked", "void_before", "quotas"}
    if unknown:
        # A misspelt "revoked" that is passed over would let a revoked token in.
        raise ValueError(f"unknown entry {sorted(unknown)[0]!r}")
    keys = {name: _public_key(name, text) for name, text in _table(table, "keys").items()}
    if not keys:
        raise ValueError("it holds no key")
    quotas = _table(table, "quotas")
    if set(quotas) - {"default", "vehicles"}:
        raise ValueError("quotas holds more than default and vehicles")
    default = Quota.parse(_table(quotas, "default"))
    by_vehicle = _table(quotas, "vehicles")
    return Policy(
        keys,
        _times(table, "revoked"),
        _times(table, "void_before"),
        default,
        {vehicle: Quota.parse(_table(by_vehicle, vehicle), default) for vehicle in by_vehicle},
    )


def new_table(*keys: Ed25519PublicKey) -> dict[str, Any]:
    """Return a tokens file's table that trusts `keys` and has revoked nothing."""
    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    texts = {key_id(key): key.public_bytes(pem, info).decode() for key in keys}
    return {"version": _VERSION, "keys": texts, "revoked": {}, "void_before": {}, "quotas": {"default": {}}}


def dump_table(table: Mapping[str, Any]) -> bytes:
    """Return a tokens file's bytes."""
    return (json.dumps(table, indent=2) + "\n").encode()


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a table")
    return value


def _times(table: Mapping[str, Any], name: str) -> dict[str, float]:
    times = _table(table, name)
    for entry, value in times.items():
        if not _is_time(value):
            raise ValueError(f"{name} {entry!r} is not a time in seconds since 1970")
    return {entry: float(value) for entry, value in times.items()}


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**40


def _public_key(name: str, text: object) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(str(text).encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"key {name!r} is not a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"key {name!r} is not an Ed25519 key")
    return key
