"""Latents to payload bytes and back: quantise, look up tables, code (proto/BITSTREAM.md, sections 5 to 7).

    encode: y, z floats -> integers -> hyper decoder -> tables -> one range-coded payload
    decode: payload -> z -> hyper decoder -> tables -> y

At qualities that have one, a refinement follows (common.entropy.refinement). Everything but the coder's own loop is
vectorised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from common.bundle import ENTROPY, ILLUMINATION, Bundle
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.contexts import LIMIT as Y_LIMIT
from common.entropy.contexts import Y_FREQ, ContextCodec
from common.entropy.hyper import MEAN_UNIT, SCALE_INDICES, UPSAMPLING, Z_LIMIT, HyperDecoder
from common.entropy.illumination import COUNT, Illumination, IlluminationCodec
from common.entropy.refinement import Refinement, RefinementCodec
from common.entropy.rounding import rounded, rounding
from common.entropy.segments import decode_segment, encode_segment, segment_bits
from common.entropy.tables import CdfTables, int32_array
from common.errors import BundleCorrupt, FieldOutOfRange


@dataclass(frozen=True, eq=False)
class LatentSymbols:
    """Hold the integers that a payload stands for.

    Attributes:
        z: (Z, H/64, W/64) int32 in [-127, 127], the side information.
        y: (C, H/16, W/16) int32, the latents' residuals; skipped ones are 0.
        refinement: luma coefficients, at qualities that have them.
        illumination: the picture's longest waves, with bundles that have them.
    """

    z: NDArray[np.int32]
    y: NDArray[np.int32]
    refinement: Refinement | None = None
    illumination: Illumination | None = None


@dataclass(frozen=True, eq=False)
class LatentPayload:
    """Hold an encoded frame's payload and what went into it.

    Attributes:
        payload: the range coder's bytes.
        symbols: the integers coded.
        y_hat: (C, H/16, W/16) float32, the latents as the decoder will see them.
        coded_symbols: how many symbols were coded, all together (skipped ones cost nothing).
    """

    payload: bytes
    symbols: LatentSymbols
    y_hat: NDArray[np.float32]
    coded_symbols: int


@dataclass(frozen=True, eq=False)
class _Prior:
    """Hold what z says about y: means, tables and which residuals are coded."""

    mean: NDArray[np.float32]
    coded: NDArray[np.bool_]
    table_ids: NDArray[np.intp]


class LatentCodec:
    """Code one frame's latents with the tables of one bundle; holds no state between frames."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], file: str = "entropy.safetensors") -> None:
        """Check and take a bundle's entropy arrays.

        Args:
            arrays: the hyper decoder's (see HyperDecoder), `z_cdf` (Q, Z, 2 zmax + 3) int32,
                `y_cdf` (64, 2 ymax + 3) int32, `skip_index` (1,) int32; with `refine_step` those of a refinement,
                with `light_count` those of an illumination, with `context_y` context tables.
            file: name for the error.

        Raises:
            BundleCorrupt: an array is missing or breaks its rules.
        """
        self.hyper = HyperDecoder(arrays, file)
        self.qualities = self.hyper.qualities
        self.latent_channels = self.hyper.latent_channels
        self.hyper_channels = self.hyper.hyper_channels
        z_cdf = int32_array(arrays, "z_cdf", 3, file)
        y_cdf = int32_array(arrays, "y_cdf", 2, file)
        skip_index = int32_array(arrays, "skip_index", 1, file)
        if z_cdf.shape[:2] != (self.qualities, self.hyper_channels):
            raise BundleCorrupt(file, f"z_cdf of shape {z_cdf.shape} does not fit the hyper decoder")
        if y_cdf.shape[0] != SCALE_INDICES or skip_index.shape != (1,):
            why = f"y_cdf of shape {y_cdf.shape} or skip_index of shape {skip_index.shape} does not fit"
            raise BundleCorrupt(file, why)
        self._z_tables = [CdfTables(rows, f"{file}: z_cdf") for rows in z_cdf]
        self._y_tables = CdfTables(y_cdf, f"{file}: y_cdf")
        self.skip_index = int(skip_index[0])
        if self._z_tables[0].max_value > Z_LIMIT or not -1 <= self.skip_index < SCALE_INDICES:
            why = f"z_cdf goes beyond {Z_LIMIT}, or skip_index {self.skip_index} is no scale index"
            raise BundleCorrupt(file, why)
        self._round_at = rounding(arrays, self.qualities, file)
        self.refinement = (
            RefinementCodec(arrays, self.latent_channels, self.qualities, file)
            if "refine_step" in arrays
            else None
        )
        self.illumination = IlluminationCodec(arrays, self.qualities, file) if COUNT in arrays else None
        shape = (self.hyper_channels, self.latent_channels)
        self.contexts = ContextCodec(arrays, *shape, file) if Y_FREQ in arrays else None

    @classmethod
    def from_bundle_file(cls, path: Path) -> LatentCodec:
        """Load the codec from a bundle's `entropy.safetensors`.

        Raises:
            BundleCorrupt: the file is missing, unreadable or breaks the rules.
        """
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise BundleCorrupt(path, f"cannot be read: {error}") from error
        return cls(arrays, str(path))

    @classmethod
    def of(cls, bundle: Bundle) -> LatentCodec:
        """Load the codec of a bundle.

        Raises:
            BundleCorrupt: as `from_bundle_file`, or the manifest asks for what is not there.
        """
        path = bundle.file(ENTROPY)
        codec = cls.from_bundle_file(path)
        if (codec.illumination is not None) != (ILLUMINATION in bundle.manifest):
            raise BundleCorrupt(path, "an illumination is in the manifest or here, and not in both")
        known = len(codec.illumination.waves) if codec.illumination is not None else 0
        if bundle.resampling.most_waves > known:
            raise BundleCorrupt(
                path, f"the manifest asks for {bundle.resampling.most_waves} waves of {known}"
            )
        sets = codec.contexts.sets if codec.contexts is not None else 0
        if bundle.resampling.most_sets > sets:
            asked = bundle.resampling.most_sets
            raise BundleCorrupt(path, f"the manifest asks for {asked} sets of context tables of {sets}")
        return codec

    def latent_quality(self, quality: int) -> int:
        """Return the quality whose latents a frame of `quality` carries: its own, unless it is refined."""
        return quality if self.refinement is None else self.refinement.latents(quality)

    def rounds_up_at(self, quality: int) -> float:
        """Return the fraction from which on the encoder rounds residuals of frames of this quality up."""
        return self._round_at[quality]

    def is_refined(self, quality: int) -> bool:
        """Return whether frames of this quality carry luma coefficients."""
        return self.refinement is not None and self.refinement.has(quality)

    def encode(
        self,
        y: NDArray[np.float32],
        z: NDArray[np.float32],
        quality: int,
        coefficients: NDArray[np.float32] | None = None,
        light: NDArray[np.float64] | None = None,
        waves: int | None = None,
        contexts: int | None = None,
    ) -> LatentPayload:
        """Encode latents.

        Args:
            y: (C, H/16, W/16) float32 latents, of `latent_quality(quality)`.
            z: (Z, H/64, W/64) float32 side information, not yet rounded.
            quality: 0 .. Q-1.
            coefficients: (H/16, W/16, 16, 16) float32 of the frame's luma (common.luma), where `is_refined`.
            light: (K,) float64, the frame's `illumination.waves` (common.illumination), where the bundle has them.
            waves: how many of them are coded, 0 to K; None takes what the bundle has for `quality`.
            contexts: the set of context tables, of the bundle's; None codes with the tables of all sizes.

        Raises:
            ValueError: shapes do not fit, no such quality, or coefficients or light are missing.
            BundleCorrupt: the latents are not finite, so the bundle's encoder is broken.
        """
        self._check_quality(quality)
        refined, frame_quality = self.is_refined(quality), quality
        if refined and (coefficients is None or coefficients.shape[:2] != y.shape[1:]):
            raise ValueError(f"quality {quality} needs luma coefficients of {y.shape[1:]} blocks")
        if self.illumination is not None and (
            light is None or light.shape != (len(self.illumination.waves),)
        ):
            raise ValueError("this bundle needs the frame's illumination")
        quality = self.latent_quality(quality)
        if z.ndim != 3 or z.shape[0] != self.hyper_channels or z.size == 0:
            raise ValueError(f"z of shape {z.shape} does not have {self.hyper_channels} channels")
        expected = (self.latent_channels, UPSAMPLING * z.shape[1], UPSAMPLING * z.shape[2])
        if y.shape != expected:
            raise ValueError(f"y of shape {y.shape} does not fit z: expected {expected}")
        z_int, y_int, prior = self._quantised(y, z, frame_quality)
        encoder = RangeEncoder()
        z_tables = self._z_tables_of(quality, contexts)
        encode_segment(encoder, z_tables, self._z_table_ids(z_int), z_int.ravel())
        if contexts is None or self.contexts is None:
            encode_segment(encoder, self._y_tables, prior.table_ids, y_int[prior.coded])
        else:
            self.contexts.encode(encoder, contexts, y_int, prior.coded)
        y_hat = y_int.astype(np.float32) + prior.mean
        symbols, count = LatentSymbols(z_int, y_int), z_int.size + prior.table_ids.size
        if refined and self.refinement is not None and coefficients is not None:
            drawn = self.refinement.quantise(coefficients, frame_quality, sixteenths(y_hat))
            levels, more = self.refinement.encode(encoder, drawn.levels, frame_quality)
            symbols, count = replace(symbols, refinement=replace(drawn, levels=levels)), count + more
        if self.illumination is not None and light is not None:
            lit = self.illumination.quantise(light, self.illumination.count(frame_quality, waves))
            self.illumination.encode(encoder, lit.levels)
            symbols, count = replace(symbols, illumination=lit), count + lit.levels.size
        return LatentPayload(encoder.finish(), symbols, y_hat, count)

    def quantise(
        self, y: NDArray[np.float32], z: NDArray[np.float32], quality: int
    ) -> tuple[LatentSymbols, NDArray[np.bool_]]:
        """Return what `encode` would code of latents, but for what follows them, and which of y are coded (C, h, w)."""
        z_int, y_int, prior = self._quantised(y, z, quality)
        return LatentSymbols(z_int, y_int), prior.coded

    def _quantised(
        self, y: NDArray[np.float32], z: NDArray[np.float32], frame_quality: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], _Prior]:
        """Return the integers of z and y for frames of a quality, and what z says about y."""
        z_int = np.clip(rounded(z), -Z_LIMIT, Z_LIMIT).astype(np.int32)
        prior = self._prior(z_int, self.latent_quality(frame_quality))
        residual = rounded(y - prior.mean, self._round_at[frame_quality])
        residual = np.clip(residual, -Y_LIMIT, Y_LIMIT)
        return z_int, np.where(prior.coded, residual, 0).astype(np.int32), prior

    def decode(
        self,
        payload: bytes,
        quality: int,
        latent_height: int,
        latent_width: int,
        waves: int | None = None,
        contexts: int | None = None,
    ) -> tuple[NDArray[np.float32], LatentSymbols]:
        """Decode a payload for latents of `latent_height` x `latent_width` (stride 16, multiples of 4).

        `waves` and `contexts` are as they were in encoding.

        Returns:
            y_hat (C, latent_height, latent_width) float32, and the integers.

        Raises:
            FieldOutOfRange: the bundle has no such quality.
            CorruptPayload: the bytes cannot have come from the encoder.
            ValueError: the size is not a multiple of 4 (the caller's mistake, it is not in the payload).
        """
        if not 0 <= quality < self.qualities:
            raise FieldOutOfRange("quality", quality, f"0..{self.qualities - 1} with this bundle")
        if latent_height < 1 or latent_width < 1 or latent_height % UPSAMPLING or latent_width % UPSAMPLING:
            raise ValueError(f"latent size {latent_height}x{latent_width} is not a multiple of {UPSAMPLING}")
        z_shape = (self.hyper_channels, latent_height // UPSAMPLING, latent_width // UPSAMPLING)
        decoder = RangeDecoder(payload)
        z_ids = self._z_table_ids(np.empty(z_shape, dtype=np.int32))
        tables = self._z_tables_of(self.latent_quality(quality), contexts)
        z_int = decode_segment(decoder, tables, z_ids.tolist(), Z_LIMIT).reshape(z_shape)
        prior = self._prior(z_int, self.latent_quality(quality))
        if contexts is None or self.contexts is None:
            y_int = np.zeros(prior.mean.shape, dtype=np.int32)
            y_int[prior.coded] = decode_segment(decoder, self._y_tables, prior.table_ids.tolist(), Y_LIMIT)
        else:
            y_int = self.contexts.decode(decoder, contexts, prior.coded)
        y_hat = y_int.astype(np.float32) + prior.mean
        refinement = None
        if self.refinement is not None and self.refinement.has(quality):
            refinement = self.refinement.decode(decoder, quality, sixteenths(y_hat))
        lit = None
        if self.illumination is not None:
            lit = self.illumination.decode(decoder, self.illumination.count(quality, waves))
        decoder.finish()
        return y_hat, LatentSymbols(z_int, y_int, refinement, lit)

    def entropy_bits(self, symbols: LatentSymbols, quality: int, contexts: int | None = None) -> float:
        """Return the ideal length of `symbols` in bits: what the tables' probabilities promise."""
        self._check_quality(quality)
        frame_quality, quality = quality, self.latent_quality(quality)
        prior = self._prior(symbols.z, quality)
        more = 0.0
        if self.refinement is not None and symbols.refinement is not None:
            more = self.refinement.bits(symbols.refinement.levels, frame_quality)
        if self.illumination is not None and symbols.illumination is not None:
            more += self.illumination.bits(symbols.illumination.levels)
        tables = self._z_tables_of(quality, contexts)
        z_bits = segment_bits(tables, self._z_table_ids(symbols.z), symbols.z.ravel())
        if contexts is None or self.contexts is None:
            y_bits = segment_bits(self._y_tables, prior.table_ids, symbols.y[prior.coded])
        else:
            y_bits = self.contexts.bits(contexts, symbols.y, prior.coded)
        return z_bits + y_bits + more

    def _z_tables_of(self, quality: int, contexts: int | None) -> CdfTables:
        """Return the tables of z, one per channel: the quality's, or those of a set of context tables."""
        if contexts is None:
            return self._z_tables[quality]
        if self.contexts is None:
            raise ValueError(f"there is no set {contexts} of context tables: the bundle has none")
        return self.contexts.z_tables[contexts]

    def _prior(self, z: NDArray[np.int32], quality: int) -> _Prior:
        """Run the hyper decoder and say what it means for y."""
        mean_q, scale_index = self.hyper.run(z, quality)
        coded = scale_index > self.skip_index
        mean = mean_q.astype(np.float32) / np.float32(MEAN_UNIT)  # exact: |mean_q| < 2^18
        return _Prior(mean, coded, scale_index[coded].astype(np.intp))

    def _z_table_ids(self, z: NDArray[np.int32]) -> NDArray[np.intp]:
        """Return the table of each symbol of z in raster order: its channel."""
        return np.repeat(np.arange(z.shape[0]), z.shape[1] * z.shape[2])

    def _check_quality(self, quality: int) -> None:
        if not 0 <= quality < self.qualities:
            raise ValueError(f"quality {quality} is not in 0..{self.qualities - 1}")


def sixteenths(y_hat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return sixteen times the decoded latents, exact: they are whole sixteenths."""
    return np.rint(y_hat.astype(np.float64) * MEAN_UNIT).astype(np.int64)
