"""cloud.adaptation: what leads from weights to others, in few directions, and back."""

import pytest
import torch

from cloud.adaptation import adapted, factor
from common.errors import UsageError


def weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "conv.weight": (24, 16, 3, 3),
        "linear.weight": (20, 30),
        "gain": (8,),
        "same": (5, 5),
        "one": (),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def moved(old: dict[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """Return weights whose matrices differ from the old ones by `rank` directions, and `same` not at all."""
    generator = torch.Generator().manual_seed(9)
    new = {}
    for name, value in old.items():
        matrix = value.flatten(1) if value.ndim > 1 else value.reshape(-1, 1)
        left = torch.randn(len(matrix), rank, generator=generator)
        right = torch.randn(rank, matrix.shape[1], generator=generator)
        new[name] = value if name == "same" else value + 0.1 * (left @ right).view(value.shape)
    return new


def test_few_directions_come_back_and_what_did_not_change_is_left_out():
    old = weights(0)
    new = moved(old, 3)
    addition = factor(old, new, 3)
    assert set(addition) == {
        "conv.weight.up",
        "conv.weight.down",
        "linear.weight.up",
        "linear.weight.down",
        "gain.delta",
        "one.delta",
    }
    assert addition["conv.weight.up"].shape == (24, 3) and addition["conv.weight.down"].shape == (3, 144)
    assert all(part.dtype == torch.float16 and part.is_contiguous() for part in addition.values())
    got = adapted(old, addition)
    for name, value in new.items():
        torch.testing.assert_close(got[name], value, atol=2e-3, rtol=0)
    assert got["same"].equal(old["same"])


def test_the_directions_kept_are_the_best_ones():
    old, new = weights(0), weights(1)
    wrong = []
    for rank in (1, 4, 10):
        got = adapted(old, factor(old, new, rank))["conv.weight"]
        wrong.append((got - new["conv.weight"]).square().sum())
    values = torch.linalg.svdvals((new["conv.weight"] - old["conv.weight"]).flatten(1))
    for rank, left in zip((1, 4, 10), wrong, strict=True):
        torch.testing.assert_close(left, values[rank:].square().sum(), rtol=1e-2, atol=0)


def test_what_factors_do_not_make_smaller_is_kept_whole():
    old, new = weights(0), weights(1)
    addition = factor(old, new, 12)  # 12 · (20 + 30) = 600 = 20 · 30
    assert "linear.weight.delta" in addition and "conv.weight.up" in addition and "same.delta" in addition
    torch.testing.assert_close(
        adapted(old, addition)["linear.weight"], new["linear.weight"], atol=2e-3, rtol=0
    )


def test_nothing_in_common_is_refused():
    old = weights(0)
    for new in ({}, {**old, "gain": torch.zeros(9)}):
        with pytest.raises(UsageError, match="different models"):
            factor(old, new, 2)
    with pytest.raises(UsageError, match="rank 0"):
        factor(old, old, 0)
    assert factor(old, old, 1) == {}


@pytest.mark.parametrize(
    "addition",
    [
        {"gone.delta": torch.zeros(8)},
        {"gain": torch.zeros(8)},
        {"gain.other": torch.zeros(8)},
        {"gain.delta": torch.zeros(9)},
        {"gain.delta": torch.full((8,), torch.nan)},
        {"linear.weight.up": torch.zeros(20, 2)},
        {"linear.weight.down": torch.zeros(2, 30)},
        {"linear.weight.up": torch.zeros(20, 2), "linear.weight.down": torch.zeros(3, 30)},
        {"linear.weight.up": torch.zeros(20, 2), "linear.weight.down": torch.zeros(2, 31)},
        {"linear.weight.up": torch.zeros(30, 2), "linear.weight.down": torch.zeros(2, 20)},
        {"linear.weight.up": torch.zeros(20), "linear.weight.down": torch.zeros(2, 30)},
    ],
    ids=lambda addition: "+".join(f"{k}{tuple(v.shape)}" for k, v in addition.items()),
)
def test_an_addition_that_does_not_fit_is_refused(addition):
    with pytest.raises(ValueError, match=r"adds to nothing|does not fit|do not fit|without"):
        adapted(weights(0), addition)
