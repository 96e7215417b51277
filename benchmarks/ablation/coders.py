"""Bytes of every entropy model that is compared, all from the project's own range coder.

Probabilities become integers before they code anything, and the decoder repeats the encoder's very steps, in the same
process on the CPU. That is enough to count bytes; between machines only the hyperprior's integers are safe.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cloud.export import SKIP_INDEX, entropy_arrays
from cloud.models.codec import Codec
from cloud.models.quantisers.causal import CausalState
from cloud.models.quantisers.checkerboard import CheckerboardHyperprior, anchors
from cloud.models.quantisers.finite import FiniteTokens, contexts
from cloud.models.quantisers.vector import VectorTokens
from common.entropy.coder import PROBABILITY_BITS, RangeDecoder, RangeEncoder
from common.entropy.contexts import LIMIT as Y_LIMIT
from common.entropy.hyper import MEAN_UNIT, UPSAMPLING, Z_LIMIT
from common.entropy.latents import LatentCodec
from common.entropy.segments import decode_segment, encode_segment, segment_bits
from common.entropy.tables import CdfTables, quantise_pmf

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Coded:
    """Hold one picture's latents as bytes.

    Attributes:
        payload: the range coder's bytes.
        y_hat: (C, h, w) float32, the latents that the decoder will have.
        information_bits: the sum of -log2 p over the coded symbols, p from the integer tables.
    """

    payload: bytes
    y_hat: Floats
    information_bits: float


class Coder(Protocol):
    """Turn latents into bytes and back."""

    def encode(self, y: Floats, z: Floats, quality: int) -> Coded:
        """Code y (C, h, w) and z (Z, h/4, w/4), both unrounded."""
        ...

    def decode(self, payload: bytes, quality: int, height: int, width: int) -> Floats:
        """Return y_hat (C, height, width) of a payload."""
        ...


def coder_for(model: Codec) -> Coder:
    """Return the coder of a model's entropy model, on the CPU."""
    made: dict[str, type[HyperCoder | CheckerboardCoder | VectorCoder | FiniteCoder]] = {
        "hyperprior": HyperCoder,
        "checkerboard": CheckerboardCoder,
        "vq": VectorCoder,
        "fsq": FiniteCoder,
    }
    return made[model.config.entropy](model)


class HyperCoder:
    """The product's own coding: integer hyperprior and tables."""

    def __init__(self, model: Codec) -> None:
        self._codec = LatentCodec(entropy_arrays(_on_cpu(model)))

    def encode(self, y: Floats, z: Floats, quality: int) -> Coded:
        """Code latents as a packet's payload has them."""
        done = self._codec.encode(y, z, quality)
        return Coded(done.payload, done.y_hat, self._codec.entropy_bits(done.symbols, quality))

    def decode(self, payload: bytes, quality: int, height: int, width: int) -> Floats:
        """Return y_hat (C, height, width)."""
        return self._codec.decode(payload, quality, height, width)[0]


class CheckerboardCoder:
    """The same tables and the same rule for symbols that are not sent; every other latent knows its neighbours."""

    def __init__(self, model: Codec) -> None:
        plain = _on_cpu(model)
        assert isinstance(plain.hyperprior, CheckerboardHyperprior)
        self._prior = plain.hyperprior
        arrays = entropy_arrays(plain)
        self._hyper = LatentCodec(arrays).hyper
        self._z_tables = [CdfTables(rows, "z") for rows in arrays["z_cdf"]]
        self._y_tables = CdfTables(arrays["y_cdf"], "y")

    def encode(self, y: Floats, z: Floats, quality: int) -> Coded:
        """Code z, then the anchors, then the rest."""
        z_int = np.clip(np.rint(z), -Z_LIMIT, Z_LIMIT).astype(np.int32)
        encoder = RangeEncoder()
        channels = _channels(z_int.shape)
        encode_segment(encoder, self._z_tables[quality], channels, z_int.ravel())
        bits = segment_bits(self._z_tables[quality], channels, z_int.ravel())
        mean, index = self._first(z_int, quality)
        even = np.broadcast_to(anchors(*y.shape[1:]).numpy(), y.shape)
        y_hat = np.zeros_like(y)
        for place in (even, ~even):
            if place is not even:
                mean, index = self._second(y_hat, mean, index)
            coded = place & (index > SKIP_INDEX)
            residual = np.clip(np.rint(y - mean), -Y_LIMIT, Y_LIMIT).astype(np.int32)
            encode_segment(encoder, self._y_tables, index[coded], residual[coded])
            bits += segment_bits(self._y_tables, index[coded], residual[coded])
            y_hat[place] = (mean + np.where(coded, residual, 0))[place]
        return Coded(encoder.finish(), y_hat, bits)

    def decode(self, payload: bytes, quality: int, height: int, width: int) -> Floats:
        """Return y_hat (C, height, width)."""
        decoder = RangeDecoder(payload)
        shape = (self._hyper.hyper_channels, height // UPSAMPLING, width // UPSAMPLING)
        z_int = decode_segment(decoder, self._z_tables[quality], _channels(shape).tolist(), Z_LIMIT).reshape(
            shape
        )
        mean, index = self._first(z_int, quality)
        even = np.broadcast_to(anchors(height, width).numpy(), mean.shape)
        y_hat = np.zeros_like(mean)
        for place in (even, ~even):
            if place is not even:
                mean, index = self._second(y_hat, mean, index)
            coded = place & (index > SKIP_INDEX)
            residual = np.zeros(mean.shape, np.int32)
            residual[coded] = decode_segment(decoder, self._y_tables, index[coded].tolist(), Y_LIMIT)
            y_hat[place] = (mean + residual)[place]
        decoder.finish()
        return y_hat

    def _first(self, z_int: NDArray[np.int32], quality: int) -> tuple[Floats, NDArray[np.intp]]:
        mean_q, index = self._hyper.run(z_int, quality)
        return mean_q.astype(np.float32) / np.float32(MEAN_UNIT), index.astype(np.intp)

    def _second(
        self, known: Floats, mean: Floats, index: NDArray[np.intp]
    ) -> tuple[Floats, NDArray[np.intp]]:
        with torch.no_grad():
            new_mean, new_index = self._prior.refine(
                torch.from_numpy(known.copy())[None],
                torch.from_numpy(mean)[None],
                torch.from_numpy(index.astype(np.float32))[None],
            )
        return new_mean[0].numpy(), np.rint(new_index[0].numpy()).astype(np.intp)


class VectorCoder:
    """Vector-quantised tokens under the causal prior, one after another."""

    def __init__(self, model: Codec) -> None:
        assert isinstance(model.tokens, VectorTokens)
        self._tokens = copy.deepcopy(model.tokens).cpu().float().eval()

    def encode(self, y: Floats, z: Floats, quality: int) -> Coded:
        """Code the tokens of y; there is no z."""
        at = torch.tensor([quality])
        with torch.no_grad():
            tokens = self._tokens.tokens(torch.from_numpy(y)[None], at)
            y_hat = self._tokens.rebuild(tokens, at)[0].numpy()
        encoder, bits = RangeEncoder(), 0.0
        state = CausalState(self._tokens.prior, y.shape[1], y.shape[2], quality)
        flat = tokens[0].flatten(1).numpy()
        for position in range(flat.shape[1]):
            state.enter(position)
            for group in range(int(self._tokens.sent(at).sum())):
                token = int(flat[group, position])
                cdf = quantise_pmf(state.probabilities(group).numpy()[None])[0]
                start, freq = int(cdf[token]), int(cdf[token + 1] - cdf[token])
                encoder.encode(start, freq)
                bits += PROBABILITY_BITS - float(np.log2(freq))
                state.tell(position, group, token)
        return Coded(encoder.finish(), y_hat, bits)

    def decode(self, payload: bytes, quality: int, height: int, width: int) -> Floats:
        """Return y_hat (C, height, width)."""
        decoder, at = RangeDecoder(payload), torch.tensor([quality])
        state = CausalState(self._tokens.prior, height, width, quality)
        tokens = torch.full((1, self._tokens.groups, height * width), -1, dtype=torch.int64)
        for position in range(height * width):
            state.enter(position)
            for group in range(int(self._tokens.sent(at).sum())):
                cdf = quantise_pmf(state.probabilities(group).numpy()[None])[0]
                token = decoder.decode(cdf.tolist())
                tokens[0, group, position] = token
                state.tell(position, group, token)
        decoder.finish()
        with torch.no_grad():
            rebuilt = self._tokens.rebuild(tokens.view(1, -1, height, width), at)
        return np.asarray(rebuilt[0].numpy(), np.float32)


class FiniteCoder:
    """Finite scalar tokens, each with the table of its neighbours' classes."""

    def __init__(self, model: Codec) -> None:
        assert isinstance(model.tokens, FiniteTokens)
        self._tokens = copy.deepcopy(model.tokens).cpu().float().eval()
        with torch.no_grad():
            pmf = self._tokens.logits(torch.arange(self._tokens.qualities)).double().softmax(-1).numpy()
        quantities = quantise_pmf(pmf.reshape(-1, pmf.shape[-1]))
        self._cdf = quantities.reshape(*pmf.shape[:-1], -1)  # (Q, P, 9, 26)
        self._tables_each = pmf.shape[2]

    def encode(self, y: Floats, z: Floats, quality: int) -> Coded:
        """Code the tokens of y; there is no z."""
        with torch.no_grad():
            tokens = self._tokens.tokens(torch.from_numpy(y)[None])
            y_hat = self._tokens.rebuild(tokens)[0].numpy()
        context = contexts(tokens)[0].flatten(1).T.numpy()  # (positions, pairs): position by position
        symbols = tokens[0].flatten(1).T.numpy()
        rows = self._cdf[quality][np.arange(symbols.shape[1]), context]
        starts = np.take_along_axis(rows, symbols[..., None], -1).ravel()
        freqs = np.take_along_axis(rows, symbols[..., None] + 1, -1).ravel() - starts
        encoder = RangeEncoder()
        encoder.encode_many(starts.tolist(), freqs.tolist())
        return Coded(encoder.finish(), y_hat, float((PROBABILITY_BITS - np.log2(freqs)).sum()))

    def decode(self, payload: bytes, quality: int, height: int, width: int) -> Floats:
        """Return y_hat (C, height, width)."""
        decoder = RangeDecoder(payload)
        pairs, each = self._tokens.pairs, self._tables_each
        rows = self._cdf[quality].reshape(pairs * each, -1).tolist()
        first = np.arange(pairs) * each
        tokens = torch.full((1, pairs, height, width), self._tokens.nothing, dtype=torch.int64)
        for row in range(height):
            for column in range(width):
                near = tokens[:, :, max(0, row - 1) : row + 1, max(0, column - 1) : column + 1]
                context = contexts(near)[0, :, -1, -1].numpy()
                found = decoder.decode_many((first + context).tolist(), rows)
                tokens[0, :, row, column] = torch.tensor(found)
        decoder.finish()
        with torch.no_grad():
            return np.asarray(self._tokens.rebuild(tokens)[0].numpy(), np.float32)


def _on_cpu(model: Codec) -> Codec:
    """Return a copy on the CPU of the parts that entropy coding needs."""
    light = copy.copy(model)
    light._modules = {"hyperprior": copy.deepcopy(model.hyperprior).cpu().float().eval()}
    return light


def _channels(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the channel of each element in raster order."""
    return np.repeat(np.arange(shape[0]), shape[1] * shape[2])
