"""Latents to bytes and back, identical on every machine (proto/BITSTREAM.md, sections 5 to 7)."""

from common.entropy.hyper import HyperDecoder
from common.entropy.latents import LatentCodec, LatentPayload, LatentSymbols
from common.entropy.tables import laplace_tables, quantise_pmf

__all__ = ["HyperDecoder", "LatentCodec", "LatentPayload", "LatentSymbols", "laplace_tables", "quantise_pmf"]
