"""cloud.models.codec: the whole graph trains end to end."""

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
