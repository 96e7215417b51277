"""Number numbers as text and as integers: a token comes back digit by digit or is not taken at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_DECIMALS = 40
MAX_MANTISSA = 10**24
_TOKEN = re.compile(rb"(-?)([0-9]{1,24})(?:\.([0-9]{1,40}))?(?:e-([0-9]{2}))?\Z")


@dataclass(frozen=True)
class Number:
    """Hold the number `mantissa` / 10^`decimals`."""

    mantissa: int
    decimals: int = 0

    @property
    def valid(self) -> bool:
        """Tell whether both are within the format's bounds."""
        return abs(self.mantissa) < MAX_MANTISSA and 0 <= self.decimals <= MAX_DECIMALS

    def scaled(self, decimals: int) -> int:
        """Return the mantissa it would have with that many decimals, rounded down."""
        shift = decimals - self.decimals
        factor: int = 10 ** abs(shift)
        return self.mantissa * factor if shift >= 0 else self.mantissa // factor


def parse(token: bytes) -> Number | None:
    """Return the number that `token` writes, or None where `render` would not give exactly this token back."""
    match = _TOKEN.match(token)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    fraction = fraction or b""
    mantissa = int(whole + fraction)
    number = Number(-mantissa if sign else mantissa, len(fraction) + int(exponent or 0))
    return number if number.valid and render(number) == token else None


def render(number: Number) -> bytes:
    """Write a number as printf's %g does: all its digits, with an exponent below 0.0001."""
    digits, decimals = str(abs(number.mantissa)), number.decimals
    sign = "-" if number.mantissa < 0 else ""
    if number.mantissa and abs(number.mantissa) * 10_000 < 10**decimals:
        point = "." if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}{digits[1:]}e-{decimals - len(digits) + 1:02d}".encode()
    if not decimals:
        return f"{sign}{digits}".encode()
    digits = digits.rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}".encode()
