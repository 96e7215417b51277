"""cloud.adaptation: what leads from weights to others, in few directions, and back."""

import itertools

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


def factors(up, scale, down, value: float = 0.0) -> dict[str, torch.Tensor]:
    """Return an addition to a matrix of 20 x 30, of factors of these shapes."""
    shapes = {"up": up, "scale": scale, "down": down}
    return {f"linear.weight.{kind}": torch.full(shape, value) for kind, shape in shapes.items()}


def test_few_directions_come_back_and_what_did_not_change_is_left_out():
    old = weights(0)
    new = moved(old, 3)
    addition = factor(old, new, 1000)
    kinds = {"up": torch.int8, "down": torch.int8, "scale": torch.float32, "delta": torch.float16}
    matrices = ("conv.weight", "linear.weight")
    expected = {f"{name}.{kind}" for name in matrices for kind in ("up", "down", "scale")}
    assert set(addition) == expected | {"gain.delta", "one.delta"}
    assert all(part.dtype == kinds[key.rpartition(".")[2]] for key, part in addition.items())
    assert addition["conv.weight.up"].shape == (24, 3) and addition["conv.weight.down"].shape == (3, 144)
    got = adapted(old, addition)
    for name, value in new.items():
        torch.testing.assert_close(got[name], value, atol=0.01, rtol=0)
    assert got["same"].equal(old["same"])


def test_more_bytes_come_nearer_and_none_is_exceeded():
    old, new = weights(0), weights(1)
    wrong = []
    for size in (300, 1000, 3000, 9000):
        addition = factor(old, new, size)
        assert sum(part.nbytes for part in addition.values()) <= size
        got = adapted(old, addition)
        wrong.append(sum(float((got[name] - new[name]).square().sum()) for name in new))
    assert all(b < 0.85 * a for a, b in itertools.pairwise(wrong)) and wrong[-1] < 0.01 * wrong[0]


def test_what_changes_most_for_its_size_comes_first():
    old = weights(0) | {"large": 100 * torch.randn(24, 144, generator=torch.Generator().manual_seed(3))}
    new = {name: value.clone() for name, value in old.items()}
    direction = torch.outer(torch.ones(24), torch.ones(144))
    new["conv.weight"] += 0.1 * direction.view(24, 16, 3, 3)
    new["large"] += 0.5 * direction  # more, of weights a hundred times as large
    size = 24 + 144 + 4
    assert set(factor(old, new, size)) == {f"conv.weight.{kind}" for kind in ("up", "down", "scale")}
    assert len(factor(old, new, 2 * size)) == 6 and factor(old, new, size - 1) == {}


def test_nothing_in_common_is_refused():
    old = weights(0)
    for new in ({}, {**old, "gain": torch.zeros(9)}):
        with pytest.raises(UsageError, match="different models"):
            factor(old, new, 1000)
    with pytest.raises(UsageError, match=r"not finite: see conv\.weight"):
        factor(old, old | {"conv.weight": torch.full((24, 16, 3, 3), torch.nan)}, 1000)
    with pytest.raises(UsageError, match="17 bytes are too few: vectors alone take 18"):
        factor(old, weights(1), 17)
    assert factor(old, old, 0) == {}


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
        {"linear.weight.scale": torch.zeros(2)},
        {"linear.weight.up": torch.zeros(20, 2), "linear.weight.down": torch.zeros(2, 30)},
        factors((20, 2), (3,), (3, 30)),
        factors((20, 2), (3,), (2, 30)),
        factors((20, 2), (2,), (2, 31)),
        factors((30, 2), (2,), (2, 20)),
        factors((10, 2), (2,), (2, 60)),
        factors((20,), (2,), (2, 30)),
        factors((20, 2), (2,), (2, 30), torch.inf),
    ],
    ids=lambda addition: "+".join(f"{k}{tuple(v.shape)}" for k, v in addition.items()),
)
def test_an_addition_that_does_not_fit_is_refused(addition):
    with pytest.raises(ValueError, match=r"adds to nothing|does not fit|do not fit|without"):
        adapted(weights(0), addition)
