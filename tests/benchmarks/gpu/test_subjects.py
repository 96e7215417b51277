"""What is timed: the reference has the size it claims, variants of ours compute the same picture."""

import pytest

torch = pytest.importorskip("torch", reason="torch (extra cloud) is not installed")
pytest.importorskip("diffusers", reason="diffusers (extra cloud) is not installed")

from benchmarks.gpu import subjects, timing  # noqa: E402
from benchmarks.gpu.timing import AS_SERVED, Variant, agreement_db  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ours():
    return subjects.OurDecoder(None, CPU)


def test_the_reference_is_of_stable_diffusions_size():
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**subjects.SD_UNET), AutoencoderKL(**subjects.SD_VAE)
    assert subjects.count(unet) == subjects.SD_UNET_PARAMETERS
    assert subjects.count(vae) == subjects.SD_VAE_PARAMETERS


def test_random_weights_leave_nothing_zero(ours):
    assert ours.weights == "random"
    empty = [name for name, p in ours.model.named_parameters() if p.dim() > 1 and not p.any()]
    assert not empty
    assert ours.model.latent.basis.any()


def test_inputs_are_padded_as_in_use(ours):
    y_hat, quality, side, present, noise = ours.inputs(100, 130, 2)
    assert side.shape == (2, 3, 128, 192) and y_hat.shape[2:] == (8, 12) and noise.shape[2:] == (16, 24)
    assert quality.shape == present.shape == (2,)
    assert torch.equal(side, ours.inputs(100, 130, 2)[2])


@pytest.mark.parametrize(
    "variant",
    [Variant("fp32-contiguous", channels_last=False), Variant("bf16", "bf16")],
    ids=lambda v: v.name,
)
def test_variants_compute_the_same_picture(ours, variant):
    inputs = ours.inputs(64, 64, 1)
    exact = ours.call(AS_SERVED, inputs, 1)()
    assert exact.shape == (1, 3, 64, 64) and torch.isfinite(exact).all()
    other = ours.call(variant, inputs, 1)()
    least = 25 if variant.precision == "bf16" else 60
    assert agreement_db(exact / exact.abs().max(), other / exact.abs().max()) > least
    if variant.precision == "bf16":
        assert not torch.equal(exact, other)


def test_steps_are_taken(ours):
    inputs = ours.inputs(64, 64, 1)
    calls = []
    model, _ = ours._model(AS_SERVED)
    handle = model.denoiser.unet.register_forward_hook(lambda *_: calls.append(1))
    ours.call(AS_SERVED, inputs, 3)()
    handle.remove()
    assert len(calls) == 3


def test_the_reference_guides_at_every_step():
    tiny = subjects.LatentDiffusion(CPU, tiny=True)
    assert tiny.describe()["tiny"] is True and "NOT" in tiny.describe()["what"]
    batches = []
    tiny.unet.register_forward_hook(lambda _, arguments, __: batches.append(len(arguments[0])))
    image = tiny.call(AS_SERVED, tiny.inputs(64, 64, 2))()
    assert image.shape == (2, 3, 64, 64)
    assert batches == [4] * subjects.SD_STEPS


@pytest.mark.gpu
def test_our_decoder_can_be_captured_as_a_graph():
    ours = subjects.OurDecoder(None, torch.device("cuda"))
    inputs = ours.inputs(64, 128, 1)
    exact = ours.call(AS_SERVED, inputs, 2)()
    call = ours.call(Variant("graph", graph=True), inputs, 2)
    assert agreement_db(exact, timing.graphed(call)()) > 50
