"""cloud.models.codec: the whole graph trains end to end."""

import pytest
import torch

from cloud.models.codec import Codec, ModelConfig


def test_every_part_gets_a_gradient():
    torch.manual_seed(0)
    model = Codec(ModelConfig(latent_channels=4, hyper_channels=2))
    # Heads that start at zero hide what is behind them: give every weight a value first.
    with torch.no_grad():
        for parameter in model.parameters():
            if float(parameter.abs().max()) == 0:
                parameter.normal_(0, 0.02)
        model.latent.basis.normal_(0, 0.1)
        model.analysis.hyper_log_gain.fill_(4.0)  # else every hyper-latent rounds to zero
    main, side = torch.rand(2, 3, 64, 128), torch.rand(2, 3, 64, 128)
    decoded, bits = model(
        main, side, torch.tensor([1.0, 0.0]), torch.tensor([0, 7]), torch.randn(2, 32, 8, 16)
    )
    (decoded.blend.image.square().mean() + bits.mean() * 1e-3).backward()
    silent = [
        name for name, p in model.named_parameters() if p.grad is None or float(p.grad.abs().max()) == 0
    ]
    assert silent == []
    assert decoded.blend.image.shape == main.shape


def test_decoding_depends_on_noise_and_steps_but_not_on_hidden_state():
    torch.manual_seed(0)
    model = Codec(ModelConfig(latent_channels=4, hyper_channels=2)).eval()
    with torch.no_grad():
        model.denoiser.unet.conv_out.weight.normal_(0, 0.02)
        model.latent.basis.normal_(0, 0.1)
        arguments = (torch.randn(1, 4, 4, 8), torch.tensor([3]), torch.rand(1, 3, 64, 128), torch.ones(1))
        noise = torch.randn(1, 32, 8, 16)
        a = model.decode(*arguments, noise, 1).blend.image
        b = model.decode(*arguments, noise, 1).blend.image
        c = model.decode(*arguments, noise.flip(2), 1).blend.image
        d = model.decode(*arguments, noise, 3).blend.image
    assert torch.equal(a, b) and not torch.equal(a, c) and not torch.equal(a, d)


@pytest.mark.parametrize(
    ("switch", "names"),
    [
        ({"text_supervision": True}, {"words", "masked_object"}),
        ({"skips": False}, {"latent_mask"}),
        ({"skips": False, "mask": False}, set()),
        ({"entropy": "vq"}, {"tokens"}),
        ({"entropy": "fsq"}, {"tokens"}),
        ({"entropy": "checkerboard"}, {"hyperprior"}),
        ({"start": "noise"}, set()),
        ({"sweep": True}, set()),
    ],
)
def test_a_switch_adds_nothing_but_its_own_weights(switch, names):
    plain = {n: v.shape for n, v in Codec(ModelConfig(latent_channels=8)).state_dict().items()}
    switched = {n: v.shape for n, v in Codec(ModelConfig(latent_channels=8, **switch)).state_dict().items()}
    assert {n.split(".")[0] for n in switched.keys() - plain.keys()} == names
    assert all(switched[n] == shape for n, shape in plain.items() if n in switched)
    gone = {n.split(".")[0] for n in plain.keys() - switched.keys()}
    assert gone == ({"hyperprior"} if "tokens" in names else set())


@pytest.mark.parametrize(
    "switch",
    [
        {"attention": "rows"},
        {"start": "middle"},
        {"entropy": "gzip"},
        {"warp": False},
        {"sweep": True, "attention": "global"},
    ],
)
def test_unknown_or_impossible_switches_are_refused(switch):
    with pytest.raises(ValueError, match=next(iter(switch))):
        ModelConfig(**switch)


def _decoded(**switches):
    torch.manual_seed(0)
    model = Codec(ModelConfig(latent_channels=4, hyper_channels=2, **switches)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if float(parameter.abs().max()) == 0:
                parameter.normal_(0, 0.02)
        model.latent.basis.normal_(0, 0.1)
    return model


def test_without_skips_the_picture_is_the_latents_alone(monkeypatch):
    """Whatever the full-resolution warp shows, only what the latent and the bits say reaches the picture."""
    arguments = (torch.randn(1, 4, 4, 8), torch.tensor([3]), torch.rand(1, 3, 64, 128), torch.ones(1))
    noise, texture = torch.randn(1, 32, 8, 16), torch.randn(1, 3, 64, 128)

    def images(model):
        """The picture, and the picture where the warp has a texture that the latent cannot hold."""
        with torch.no_grad():
            first = model.decode(*arguments, noise, 1)
            real = model.geometry.forward
            seen = torch.randn(1, 32, 8, 16)
            monkeypatch.setattr(model.latent, "encode", lambda image: seen)
            plain = model.decode(*arguments, noise, 1).blend.image
            monkeypatch.setattr(
                model.geometry, "forward", lambda *a: (g := real(*a))._replace(warped=g.warped + texture)
            )
            return first, plain, model.decode(*arguments, noise, 1).blend.image

    _, plain, textured = images(_decoded())
    assert float((plain - textured).abs().max()) > 0.1
    first, plain, textured = images(_decoded(skips=False))
    assert torch.equal(plain, textured)
    assert first.blend.mask.shape == (1, 1, 64, 128) and 0 < float(first.blend.mask.mean()) < 1


def test_text_supervision_alone_keeps_the_text_from_the_picture():
    arguments = (torch.randn(1, 4, 4, 8), torch.tensor([3]), torch.rand(1, 3, 64, 128), torch.ones(1))
    noise, tags = torch.randn(1, 32, 8, 16), torch.rand(1, 14, 3)

    def differs(model):
        with torch.no_grad():
            told = model.decode(*arguments, noise, 1, tags=tags)
            return not torch.equal(
                told.blend.image, model.decode(*arguments, noise, 1).blend.image
            ), told.words

    with_text, words = differs(_decoded(text=True, text_supervision=True))
    assert with_text and words is not None
    without, words = differs(_decoded(text=False, text_supervision=True))
    assert not without and words is not None


def test_without_the_warp_the_side_view_stays_in_place():
    model = _decoded(warp=False, skips=False, attention="global")
    side = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        out = model.decode(
            torch.randn(1, 4, 4, 8), torch.tensor([3]), side, torch.ones(1), torch.randn(1, 32, 8, 16), 2
        )
    torch.testing.assert_close(out.geometry.warped, side * 2 - 1)
    assert out.geometry.disparity.shape == (1, 1, 64, 128)
    assert not [n for n, _ in model.geometry.named_parameters() if n.startswith(("match4", "delta", "out4"))]
