"""Captioners: the bundled one, a fixed one, and BLIP-2 where a machine has it."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from cloud.text.captioner import Blip2Captioner, Captioner, FixedCaptioner, TaggerCaptioner
from cloud.text.tagger import Tagger
from cloud.text.vocabulary import OBJECTS, Tags
from common.errors import BundleNotFound, InputError, MissingDependency

IMAGE = np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8)


@pytest.fixture
def captioner() -> TaggerCaptioner:
    torch.manual_seed(0)
    return TaggerCaptioner(Tagger())


def test_they_are_captioners(captioner: TaggerCaptioner) -> None:
    assert isinstance(captioner, Captioner) and isinstance(FixedCaptioner("road"), Captioner)


def test_tags_are_the_taggers_presence_and_caption_says_them(captioner: TaggerCaptioner) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        wanted = Tagger()(torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float() / 255).presence[0]
    tags = captioner.tags(IMAGE)
    assert np.allclose(tags.presence, wanted.numpy(), atol=1e-6)
    assert np.array_equal(captioner.tags(IMAGE).presence, tags.presence)
    read_back = Tags.from_caption(captioner.caption(IMAGE)).tags
    assert np.array_equal(read_back.presence > 0, tags.presence >= 0.5)


def test_a_view_of_an_array_is_fine(captioner: TaggerCaptioner) -> None:
    mirrored = IMAGE[:, ::-1]
    assert np.array_equal(captioner.tags(mirrored).presence, captioner.tags(mirrored.copy()).presence)


@pytest.mark.parametrize(
    "wrong", [None, IMAGE[..., 0], IMAGE.astype(np.float32), IMAGE[..., :2], IMAGE[:32, :32]]
)
def test_what_is_not_a_picture_is_refused(captioner: TaggerCaptioner, wrong: Any) -> None:
    with pytest.raises(InputError, match="needs"):
        captioner.tags(wrong)


def test_a_fixed_caption_ignores_the_picture() -> None:
    captioner = FixedCaptioner("car left and a unicorn")
    assert captioner.caption(IMAGE) == "car left and a unicorn"
    assert captioner.ignored == ("unicorn",)
    assert np.array_equal(captioner.tags(IMAGE).presence, captioner.tags(IMAGE[::-1]).presence)
    assert captioner.tags(IMAGE).presence[OBJECTS.index("car")].tolist() == [1, 0, 0]
    with pytest.raises(InputError):
        FixedCaptioner(7)  # type: ignore[arg-type]


def test_blip2_without_transformers_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependency, match=r"transformers.*\[caption\]"):
        Blip2Captioner()


class _Loader:
    """Stands in for a class of transformers; `fails` is what from_pretrained raises."""

    fails: Exception | None = None

    def __init__(self, **calls: Any) -> None:
        self.__dict__.update(calls)

    def from_pretrained(self, model: str, local_files_only: bool) -> Any:
        if self.fails:
            raise self.fails
        return self


def _fake_hub(monkeypatch: pytest.MonkeyPatch, fails: Exception | None = None, **network: Any) -> None:
    hub = types.ModuleType("transformers")
    processor = _Loader(fails=fails, **{k: network.pop(k) for k in list(network) if k == "batch_decode"})
    processor_type = type("Processor", (_Loader,), {"__call__": lambda self, **kw: _Inputs(kw)})
    processor.__class__ = processor_type
    hub.AutoProcessor = processor  # type: ignore[attr-defined]
    hub.Blip2ForConditionalGeneration = _Loader(fails=fails, **network)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", hub)


class _Inputs(dict[str, Any]):
    def to(self, device: str) -> _Inputs:
        return self


def test_blip2_without_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_hub(monkeypatch, fails=OSError("offline"))
    with pytest.raises(BundleNotFound, match=r"Salesforce/blip2-opt-2\.7b"):
        Blip2Captioner(local_only=True)


def test_blip2_sentences_become_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def generate(**options: Any) -> list[int]:
        asked.update(options)
        return [1]

    network = _Loader(generate=generate)
    network.to = lambda device: network  # type: ignore[attr-defined]
    network.eval = lambda: network  # type: ignore[attr-defined]
    _fake_hub(
        monkeypatch,
        batch_decode=lambda tokens, skip_special_tokens: [" a car on the left of a street\n"],
        **network.__dict__,
    )
    captioner = Blip2Captioner()
    assert captioner.caption(IMAGE) == "a car on the left of a street"
    assert asked["max_new_tokens"] == 32 and asked["do_sample"] is False and asked["images"] is IMAGE
    assert captioner.tags(IMAGE).presence[OBJECTS.index("car")].tolist() == [1, 0, 0]
    with pytest.raises(InputError):
        captioner.caption(None)  # type: ignore[arg-type]
