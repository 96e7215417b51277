"""`mdic-cloud token`: issue, revoke and look at the tokens of vehicles."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from common.errors import CredentialsError, MdicError, MissingDependency, UsageError
from common.secretfile import read_token, replace, write_new
from common.stream.convert import vehicle_problem

MAX_DAYS = 3650


def add_parser(commands: Any) -> None:
    """Add the subcommand with its own subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "token",
        help="issue, revoke and look at vehicles' tokens",
        description="Tokens are read from and written to files, never printed and never given as arguments.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    issue = actions.add_parser("issue", help="make a token")
    issue.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="key that signs (token-key.pem)"
    )
    issue.add_argument("--vehicle", required=True, metavar="ID")
    issue.add_argument(
        "--days", type=float, default=90.0, metavar="N", help="until it ends (default: %(default)g)"
    )
    issue.add_argument("--roles", metavar="R,R", help="main, side, probe; default all that a vehicle may do")
    issue.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where it goes; must not be there"
    )
    issue.set_defaults(run=run, act=_issue)

    revoke = actions.add_parser(
        "revoke", help="make tokens void; a running server cuts their connections within seconds"
    )
    revoke.add_argument("--tokens", type=Path, required=True, metavar="FILE", help="that of mdic-cloud serve")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--vehicle", metavar="ID", help="every token issued to it until now")
    which.add_argument("--id", metavar="TOKEN-ID", help="the token of that number")
    which.add_argument("--token", type=Path, metavar="FILE", help="the token in a file")
    revoke.set_defaults(run=run, act=_revoke)

    show = actions.add_parser("show", help="print what a token says, not the token")
    show.add_argument("token", type=Path, metavar="FILE")
    show.add_argument("--tokens", type=Path, required=True, metavar="FILE", help="that of mdic-cloud serve")
    show.set_defaults(run=run, act=_show)


def run(options: argparse.Namespace) -> int:
    """Do one action; print one JSON object.

    Raises:
        UsageError: an option makes no sense.
        CredentialsError: a file cannot be used.
    """
    try:
        print(json.dumps(options.act(options)), flush=True)
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "pyjwt", "cloud") from error
    return 0


def _issue(options: argparse.Namespace) -> dict[str, Any]:
    from cloud.security.callers import roles_of
    from cloud.security.tokens import issue, load_signing_key

    problem = vehicle_problem(options.vehicle)
    if problem:
        raise UsageError(problem)
    if not 0 < options.days <= MAX_DAYS:
        raise UsageError(f"--days {options.days:g} is not above 0 and up to {MAX_DAYS}")
    try:
        roles = None if options.roles is None else roles_of(options.roles)
    except ValueError as error:
        raise UsageError(f"--roles: {error}") from None
    token, claims = issue(
        load_signing_key(options.key), options.vehicle, time.time(), options.days * 86400.0, roles
    )
    write_new(options.out, token.encode() + b"\n")
    return _described(claims)


def _revoke(options: argparse.Namespace) -> dict[str, Any]:
    from cloud.security.tokens import decode, dump_table, parse_policy, read_table

    table = read_table(options.tokens)
    keys = parse_policy(table).keys
    now_s = round(time.time(), 3)
    done: dict[str, Any]
    if options.vehicle is not None:
        problem = vehicle_problem(options.vehicle)
        if problem:
            raise UsageError(problem)
        table.setdefault("void_before", {})[options.vehicle] = now_s
        done = {"vehicle": options.vehicle, "void_before": now_s}
    else:
        token_id, expires_s = options.id, now_s + MAX_DAYS * 86400.0
        if options.token is not None:
            try:
                claims = decode(read_token(options.token), keys)
            except MdicError as error:
                raise CredentialsError(options.token, f"{error}; revoke it by its --id") from None
            token_id, expires_s = claims.token_id, claims.expires_s
        # Past its expiry a token is refused anyway, so that the list need not grow for ever.
        revoked = {name: end for name, end in table.get("revoked", {}).items() if end > now_s - 86400.0}
        table["revoked"] = {**revoked, token_id: expires_s}
        done = {"id": token_id, "revoked": True}
    replace(options.tokens, dump_table(table))
    return done


def _show(options: argparse.Namespace) -> dict[str, Any]:
    from cloud.security.tokens import decode, read_policy

    policy = read_policy(options.tokens)
    try:
        claims = decode(read_token(options.token), policy.keys)
    except MdicError as error:
        if isinstance(error, CredentialsError):
            raise
        raise CredentialsError(options.token, str(error)) from None
    try:
        policy.check(claims, time.time())
        verdict = "valid"
    except MdicError as error:
        verdict = str(error)
    return {**_described(claims), "verdict": verdict}


def _described(claims: Any) -> dict[str, Any]:
    return {
        "vehicle": claims.vehicle,
        "id": claims.token_id,
        "issued": claims.issued_s,
        "expires": claims.expires_s,
        "roles": sorted(claims.roles),
    }
