"""cloud.training.critic: it learns to tell real from made, and its pull is as strong as it is told."""

import torch

from cloud.training.critic import Adversary, Critic


def pictures(kind, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(4, 3, 32, 64, generator=generator) * 2 - 1
    return noise if kind == "sharp" else torch.nn.functional.avg_pool2d(noise, 5, 1, 2)


def test_a_score_for_every_patch():
    assert Critic(8)(torch.zeros(2, 3, 32, 64)).shape == (2, 1, 8, 16)


def test_it_learns_to_tell_sharp_from_blurred_and_pulls_towards_sharp():
    torch.manual_seed(0)
    adversary = Adversary(torch.device("cpu"), rate=2e-3)
    losses = [float(adversary.learn(pictures("sharp", i), pictures("blurred", i))) for i in range(25)]
    assert losses[-1] < 0.6 * losses[0]
    image = pictures("blurred", 99).requires_grad_()
    other = torch.full_like(image, 0.01)
    pull = adversary.pull(image, other, 0.25)
    assert torch.isclose(pull.norm(), 0.25 * other.norm(), rtol=1e-3)
    with torch.no_grad():  # against the gradient the picture scores as more real
        step = pull / pull.abs().max() * 0.05
        assert adversary.critic(image - step).mean() > adversary.critic(image).mean()


def test_learning_leaves_the_picture_alone():
    made = pictures("blurred", 1).requires_grad_()
    Adversary(torch.device("cpu")).learn(pictures("sharp", 1), made)
    assert made.grad is None
