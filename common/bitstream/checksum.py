"""The checksum of packets and containers: CRC-32C (Castagnoli), as in iSCSI and SCTP."""

from __future__ import annotations

import google_crc32c


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`: 32 bits, reflected, initial value and final xor all ones."""
    return int(google_crc32c.value(data))
