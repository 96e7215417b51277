"""Define the golden vectors of bundles with context tables (proto/BITSTREAM.md, section 5.3)."""

from __future__ import annotations

from collections.abc import Iterator

from cases import BUNDLE, Case, bad, drawn_payload, good
from synthetic_tables import Lcg, context_arrays

from common.bitstream import Packet, SessionFacts
from common.entropy import LatentCodec
from common.entropy.latents import LatentPayload

CODEC = LatentCodec(context_arrays())
SIZES = [
    {"pixels": 4096, "scale": [2] * 8, "quality": list(range(8)), "contexts": [0, 1, 0, 1, 1, 0, 1, 1]},
    {"pixels": 16384, "scale": [2] * 8, "quality": list(range(8)), "contexts": [1, 0, 1, 0, 1, 0, 1, 0]},
]


def _in_context(
    session: SessionFacts, quality: int, lcg: Lcg | None, ratio: int, which: int
) -> LatentPayload:
    """Return the payload of drawn symbols with set `which` of context tables."""
    latent = drawn_payload(session, quality, lcg, ratio)
    z = latent.symbols.z.astype("float32")
    return CODEC.encode(latent.y_hat, z, quality, contexts=which)


def context_cases() -> Iterator[Case]:
    """Yield them: those that decode, and one that must be refused."""
    tiny, odd = SessionFacts(BUNDLE, 64, 64), SessionFacts(BUNDLE, 65, 131)
    for name, comment, session, quality, ratio, which in (
        ("context-q3", "tables by the neighbours' signs, of the second set", tiny, 3, 90, 1),
        ("context-q2", "of the first", tiny, 2, 90, 0),
        ("context-odd-q4", "a frame that is padded, and the second resampling table", odd, 4, 120, 1),
        ("context-escapes-q6", "many values outside the tables, which count as positive", tiny, 6, 230, 1),
    ):
        latent = _in_context(session, quality, Lcg(70 + quality), ratio, which)
        yield good(name, comment, session, quality, latent, resampling=SIZES, tables="tables-context")
    zeros = _in_context(tiny, 0, None, 0, 0)
    yield good(
        "context-zeros-q0", "every symbol zero", tiny, 0, zeros, resampling=SIZES, tables="tables-context"
    )
    payload = _in_context(tiny, 3, Lcg(73), 90, 1).payload + b"\1" * 8
    packet = Packet(3, payload).serialize(tiny)
    refused = bad("context-long", "bytes left over after the last latent", "CorruptPayload", packet, tiny)
    refused.meaning.update(resampling=SIZES, tables="tables-context")
    yield refused
