"""Opening the decoder."""

from __future__ import annotations

import builtins

import pytest

from cloud.commands.device import open_decoder
from common.errors import MissingDependency, UsageError


@pytest.mark.parametrize("package", ["torch", "diffusers"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def without(name, *rest, **kw):
        if name == "torch" and package == "torch":
            raise ModuleNotFoundError("no torch", name="torch")
        if name == "cloud.decoder":
            raise ModuleNotFoundError(f"no {package}", name=package)
        return real(name, *rest, **kw)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=rf"{package} is not installed.*\[cloud\]"):
        open_decoder(None, "cpu")  # type: ignore[arg-type]


def test_cuda_without_a_device_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda"):
        open_decoder(None, "cuda")  # type: ignore[arg-type]
