"""`mdic-cloud certs`: a private CA with certificates, and tokens, for a server and its vehicles."""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import re
import time
from pathlib import Path
from typing import Any

from common.errors import CredentialsError, MissingDependency, UsageError
from common.secretfile import read_file, write_new
from common.stream.convert import vehicle_problem

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9*_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\Z"
)
MAX_DAYS = 3650


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "certs",
        help="make a private CA with certificates and tokens",
        description="Write ca.pem, the server's and the vehicles' certificates and keys, and with --tokens a key "
        "that signs tokens, tokens.json for mdic-cloud serve and a token for each vehicle. Files that are there "
        "are never overwritten; a CA or a token key that is there is used again, so a vehicle can be added "
        "later. Keep ca-key.pem and token-key.pem away from the server.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    parser.add_argument(
        "--host",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names or addresses by which vehicles reach the server",
    )
    parser.add_argument(
        "--vehicle", action="extend", nargs="+", default=[], metavar="ID", help="vehicles to let in"
    )
    parser.add_argument("--tokens", action="store_true", help="make a token for each vehicle too")
    parser.add_argument(
        "--days",
        type=int,
        default=90,
        metavar="N",
        help="until certificates and tokens end (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make what is asked for and print the names of the files.

    Raises:
        UsageError: an option makes no sense.
        CredentialsError: a file is there already, or cannot be written or used.
    """
    _check(options)
    try:
        made = _make(options)
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "cryptography", "cloud") from error
    present = [path for path in made if path.exists()]
    if present:  # looked at before the first is written: all or nothing
        raise CredentialsError(present[0], "is there already and is not overwritten")
    try:
        options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CredentialsError(options.out, f"cannot be made: {error.strerror}") from None
    for path, data in made.items():
        write_new(path, data)
        print(path)
    return 0


def _check(options: argparse.Namespace) -> None:
    if not options.host and not options.vehicle:
        raise UsageError("nothing to make: give --host, --vehicle or both")
    if options.tokens and not options.vehicle:
        raise UsageError("--tokens needs --vehicle")
    if not 1 <= options.days <= MAX_DAYS:
        raise UsageError(f"--days {options.days} is not 1 to {MAX_DAYS}")
    for vehicle in options.vehicle:
        problem = vehicle_problem(vehicle)
        if problem or vehicle in ("ca", "server", "token"):
            raise UsageError(problem or f"--vehicle {vehicle!r}: its files would be called like others'")
    for host in options.host:
        if not _is_address(host) and not _HOST.match(host):
            raise UsageError(f"--host {host[:80]!r} is neither a name nor an address")
    for name in ("host", "vehicle"):
        if len(set(getattr(options, name))) != len(getattr(options, name)):
            raise UsageError(f"--{name}: one is given twice")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _make(options: argparse.Namespace) -> dict[Path, bytes]:
    """Return file -> content of everything new."""
    from cloud.security import certs

    now = datetime.datetime.now(datetime.timezone.utc)
    out: Path = options.out
    files: dict[Path, bytes] = {}
    ca_path, ca_key_path = out / "ca.pem", out / "ca-key.pem"
    if ca_path.exists() or ca_key_path.exists():
        try:
            ca = certs.load_pair(
                read_file(ca_path, "CA certificate"), read_file(ca_key_path, "CA key", secret=True)
            )
        except ValueError:
            raise CredentialsError(ca_path, "this and ca-key.pem are not a CA of ours") from None
    else:
        ca = certs.make_ca(now)
        files |= {ca_path: ca.certificate_pem, ca_key_path: ca.key_pem}
    # A certificate that outlives its CA would only look valid.
    days = min(options.days, (ca.certificate.not_valid_after_utc - now).days)
    if days < 1:
        raise CredentialsError(ca_path, "the CA has expired")
    if options.host:
        server = certs.make_server(ca, options.host, now, days)
        files |= {out / "server.pem": server.certificate_pem, out / "server-key.pem": server.key_pem}
    for vehicle in options.vehicle:
        pair = certs.make_vehicle(ca, vehicle, now, days)
        files |= {out / f"{vehicle}.pem": pair.certificate_pem, out / f"{vehicle}-key.pem": pair.key_pem}
    if options.tokens:
        files |= _make_tokens(out, options.vehicle, options.days)
    return files


def _make_tokens(out: Path, vehicles: list[str], days: int) -> dict[Path, bytes]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cloud.security import tokens

    key_path, table_path = out / "token-key.pem", out / "tokens.json"
    files: dict[Path, bytes] = {}
    if key_path.exists():
        key = tokens.load_signing_key(key_path)
    else:
        key = Ed25519PrivateKey.generate()
        files[key_path] = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files[table_path] = tokens.dump_table(tokens.new_table(key.public_key()))
    for vehicle in vehicles:
        token, _ = tokens.issue(key, vehicle, time.time(), days * 86400.0)
        files[out / f"{vehicle}.token"] = token.encode() + b"\n"
    return files
