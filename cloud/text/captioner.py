"""Captioners: from a picture of the side view to tags and words."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from common.errors import BundleNotFound, InputError, MissingDependency
from common.types import RgbImage

from .tagger import Tagger, load_tagger
from .vocabulary import Tags

BLIP2_MODEL = "Salesforce/blip2-opt-2.7b"
"""The captioner of the paper (supplement: BLIP-2, captions of at most 32 tokens)."""
BLIP2_TOKENS = 32


@runtime_checkable
class Captioner(Protocol):
    """Say what a picture (H, W, 3) uint8 RGB shows; the same picture always gets the same answer."""

    def tags(self, image: RgbImage) -> Tags:
        """Return the tags of a picture."""
        ...

    def caption(self, image: RgbImage) -> str:
        """Return what the picture shows in words; `Tags.from_caption` understands it."""
        ...


class TaggerCaptioner:
    """Caption with the bundled tagger."""

    def __init__(self, tagger: Tagger | None = None) -> None:
        """Use `tagger`, or load the one that comes with the package.

        Raises:
            BundleError: there is none, or it is damaged.
        """
        self._tagger = load_tagger() if tagger is None else tagger
        self._device = next(self._tagger.parameters()).device

    def tags(self, image: RgbImage) -> Tags:
        """Return how surely each object is in each third.

        Raises:
            InputError: not (H, W, 3) uint8 of 64x64 or more.
        """
        picture = torch.from_numpy(np.ascontiguousarray(_checked(image))).to(self._device)
        with torch.inference_mode():
            out = self._tagger(picture.permute(2, 0, 1)[None].float() / 255)
        return Tags(out.presence[0].cpu().numpy())

    def caption(self, image: RgbImage) -> str:
        """Return the objects that are rather there than not, such as "road, tree left right, car centre"."""
        return self.tags(image).caption()


class FixedCaptioner:
    """Say the same of every picture: an operator's own words, or a wrong caption for an experiment."""

    def __init__(self, caption: str) -> None:
        """Take the caption; `ignored` holds the words of it that mean nothing to us.

        Raises:
            InputError: it is not a string.
        """
        self._tags, self.ignored = Tags.from_caption(caption)
        self._caption = caption

    def tags(self, image: RgbImage) -> Tags:
        """Return the tags of the caption, whatever the picture."""
        return self._tags

    def caption(self, image: RgbImage) -> str:
        """Return the caption as it was given."""
        return self._caption


class Blip2Captioner:
    """Caption with BLIP-2 from the Hugging Face hub, as the paper does; optional, several gigabytes.

    Only words of the vocabulary become tags, and captions seldom say where things are, so most tags are in all thirds.
    """

    def __init__(self, model: str = BLIP2_MODEL, device: str = "cpu", local_only: bool = False) -> None:
        """Load the model, from the local cache alone if `local_only`.

        Raises:
            MissingDependency: transformers is not installed.
            BundleNotFound: the weights are neither in the cache nor on a hub that can be reached.
        """
        try:
            hub: Any = importlib.import_module("transformers")
        except ImportError as error:
            raise MissingDependency("transformers", "caption") from error
        try:
            self._processor: Any = hub.AutoProcessor.from_pretrained(model, local_files_only=local_only)
            network: Any = hub.Blip2ForConditionalGeneration.from_pretrained(
                model, local_files_only=local_only
            )
        except (OSError, ValueError) as error:  # what from_pretrained raises for missing or foreign files
            raise BundleNotFound(model, ["the local Hugging Face cache", "the hub"]) from error
        self._network, self._device = network.to(device).eval(), device

    def caption(self, image: RgbImage) -> str:
        """Return a sentence of at most 32 tokens; greedy search, so always the same one.

        Raises:
            InputError: not (H, W, 3) uint8.
        """
        inputs = self._processor(images=_checked(image), return_tensors="pt").to(self._device)
        with torch.inference_mode():
            tokens = self._network.generate(
                **inputs, max_new_tokens=BLIP2_TOKENS, do_sample=False, num_beams=1
            )
        return str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()

    def tags(self, image: RgbImage) -> Tags:
        """Return the vocabulary's words in the caption."""
        return Tags.from_caption(self.caption(image)).tags


def _checked(image: RgbImage) -> RgbImage:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"a captioner needs (H, W, 3) uint8, not {kind}")
    return image
