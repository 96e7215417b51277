"""The variants: what is taken out of the full model, or put in another's place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud.training.config import TrainConfig
from common.errors import UsageError

FULL: Mapping[str, Any] = {
    "feedback": True,
    "search": True,
    "mask": True,
    "text": True,
    "text_supervision": True,
}
"""Every piece of the method, named so that no default decides what "full" means."""
NEW_ENTROPY = ("hyperprior.", "tokens.", "analysis.hyper")
"""Names of what only an entropy model has: when they are compared, each learns its own anew."""


@dataclass(frozen=True)
class Variant:
    """One model to train.

    Attributes:
        name: its key, the folder of its run.
        label: its name for readers.
        model: fields of ModelConfig that differ from the full model's.
        train: fields of TrainConfig that differ.
        side: whether it is judged with the side view.
    """

    name: str
    label: str
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    side: bool = True

    def config(self, base: TrainConfig, whole: Mapping[str, Any]) -> TrainConfig:
        """Return the base configuration with the full model's pieces, less what this variant changes."""
        model = dataclasses.replace(base.model, **{**whole, **self.model})
        return dataclasses.replace(base, model=model, **self.train)


@dataclass(frozen=True)
class Group:
    """Variants that are judged against one of them.

    Attributes:
        name: its key.
        title: for plots and tables.
        reference: the name of the variant the others are compared with.
        variants: all of them, the reference among them.
        fresh: beginnings of names of tensors that do not start from `--from`.
        whole: fields of ModelConfig that all of them share, less what a variant changes.
    """

    name: str
    title: str
    reference: str
    variants: tuple[Variant, ...]
    fresh: tuple[str, ...] = ()
    whole: Mapping[str, Any] = field(default_factory=lambda: FULL)

    def pick(self, names: Sequence[str] | None) -> tuple[Variant, ...]:
        """Return the variants of these names, in the group's order; all where `names` is None.

        The reference is always among them: nothing could be said without it.

        Raises:
            UsageError: an unknown name.
        """
        if names is None:
            return self.variants
        known = [variant.name for variant in self.variants]
        wanted = {_LETTERS.get(name, name) if self.name == "entropy" else name for name in names}
        unknown = sorted(wanted - set(known))
        if unknown or not wanted:
            raise UsageError(
                f"--variants: unknown {', '.join(unknown) or 'nothing'} (known: {', '.join(known)})"
            )
        wanted.add(self.reference)
        return tuple(variant for variant in self.variants if variant.name in wanted)


_LETTERS = {"a": "vq-causal", "b": "fsq-table", "c": "hyperprior", "d": "checkerboard"}

METHOD = Group(
    "method",
    "parts of the method",
    "full",
    (
        Variant("full", "full model"),
        Variant("no-text-supervision", "without text supervision", {"text_supervision": False}),
        Variant("no-text", "without z_text", {"text": False}),
        Variant("no-side", "without side view", train={"drop_side": 1.0}, side=False),
        Variant("no-mask", "without mask", {"mask": False}),
        Variant("no-skips", "without pixel skips", {"skips": False}),
        Variant("no-feedback", "without feedback", {"feedback": False}),
        Variant("no-search", "without search", {"search": False}),
        Variant("global-attention", "global attention", {"attention": "global"}),
        Variant(
            "paper",
            "the paper's recipe, our size and budget",
            {
                "entropy": "vq",
                "attention": "global",
                "skips": False,
                "warp": False,
                "feedback": False,
                "search": False,
                "start": "noise",
                "steps": 10,
            },
            # The paper has neither disparity nor a warp, so nothing to teach there.
            {"weight_geometry": 0.0, "weight_warp": 0.0, "weight_smooth": 0.0},
        ),
    ),
)

ENTROPY = Group(
    "entropy",
    "entropy models",
    "hyperprior",
    (
        Variant("vq-causal", "(a) VQ tokens, causal prior", {"entropy": "vq"}),
        Variant("fsq-table", "(b) FSQ tokens, conditional tables", {"entropy": "fsq"}),
        Variant("hyperprior", "(c) scalar latents, integer hyperprior"),
        Variant("checkerboard", "(d) c with checkerboard context", {"entropy": "checkerboard"}),
    ),
    NEW_ENTROPY,
    # The search compares quantiser steps, which only scalar latents have: nobody gets it here.
    {**FULL, "search": False},
)

GROUPS = {group.name: group for group in (METHOD, ENTROPY)}
