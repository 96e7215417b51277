"""The tokens file of a running server: read again when it changes on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from cloud.security.tokens import Policy, read_policy
from common.errors import CredentialsError

LOG = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class TokenStore:
    """Hold the policy that is in force.

    A file that cannot be used leaves the last good policy in force, and an error in the log: an editor's
    half-written file must not shut a fleet out.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            CredentialsError: it cannot be used.
        """
        self._path = path
        self._seen = self._stamp()
        self.policy: Policy = read_policy(path)

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether another policy is in force."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        # Remembered before reading: a change during the reading is seen at the next look.
        self._seen = stamp
        try:
            self.policy = read_policy(self._path)
        except CredentialsError as error:
            LOG.error("the tokens in force stay those read before: %s", error)
            return False
        LOG.info(
            "tokens file read again: %d keys, %d tokens revoked",
            len(self.policy.keys),
            len(self.policy.revoked),
        )
        return True

    def _stamp(self) -> _Stamp | None:
        """Return what changes with the file; None while it is not there."""
        try:
            now = self._path.stat()
        except OSError:
            return None
        return now.st_ino, now.st_mtime_ns, now.st_size
