"""The two networks that are timed: our decoder's, and a latent diffusion model of Stable Diffusion 2.1's size."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.timing import Variant

OUR_PAD = 64
"""Our decoder works on sides padded to a multiple of this (proto/BITSTREAM.md): 1248 columns become 1280."""

SD_UNET: dict[str, Any] = {
    "sample_size": 96,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
    "norm_num_groups": 32,
}
SD_VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 768,
}
SD_UNET_PARAMETERS, SD_VAE_PARAMETERS = 865_910_724, 83_653_863
"""What the published weights count: the architectures above are theirs."""

TINY_UNET = SD_UNET | {
    "block_out_channels": (32, 64, 64, 64),
    "attention_head_dim": (2, 4, 4, 4),
    "cross_attention_dim": 64,
    "norm_num_groups": 8,
    "layers_per_block": 1,
}
TINY_VAE = SD_VAE | {"block_out_channels": (16, 32, 32, 32), "layers_per_block": 1, "norm_num_groups": 8}

SD_STEPS = 10
SD_GUIDANCE = 3.0
SD_TOKENS = 77
SD_SCALING = 0.18215


def count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


@contextlib.contextmanager
def running(variant: Variant, device: torch.device) -> Iterator[None]:
    """Set precision and gradients for calls of one variant."""
    tf32 = variant.precision == "tf32"
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    half = variant.dtype is not torch.float32
    try:
        # The weights already have the type, and a cache would outlive a graph's capture.
        with (
            torch.inference_mode(),
            torch.autocast(device.type, variant.dtype if half else None, enabled=half, cache_enabled=False),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


class OurDecoder:
    """Our decoder's network, from latents and a side view on the device to the picture on the device."""

    def __init__(self, bundle: str | None, device: torch.device) -> None:
        """Load a bundle's weights, or make random ones (None): time does not depend on them.

        Raises:
            BundleError: the bundle is not there or damaged.
        """
        self.device = device
        if bundle is None:
            self.model, self.weights = random_codec().to(device), "random"
            self.refiner: Any = random_refiner().to(device)
        else:
            from cloud.decoder import Decoder
            from common.bundle import Bundle

            loaded = Bundle.load(bundle)
            decoder = Decoder(loaded, device=device.type)
            self.model, self.refiner = decoder.model, decoder.refiner
            self.weights = f"{loaded.name} {loaded.hex}"
        self._prepared: dict[tuple[torch.dtype, bool, bool], tuple[nn.Module, nn.Module | None]] = {}

    def inputs(self, height: int, width: int, batch: int) -> tuple[Tensor, ...]:
        """Return (y_hat, quality, side, present, noise) of random frames on the device, padded as in use."""
        rows, columns = (-(-side // OUR_PAD) * OUR_PAD for side in (height, width))
        config, random = self.model.config, torch.Generator().manual_seed(1)
        symbols = torch.randint(
            -3, 4, (batch, config.latent_channels, rows // 16, columns // 16), generator=random
        )
        side = torch.rand((batch, 3, rows, columns), generator=random)
        noise = torch.randn((batch, config.diffusion_channels, rows // 8, columns // 8), generator=random)
        quality = torch.full((batch,), config.qualities // 2)
        made = (symbols.float(), quality, side, torch.ones(batch), noise)
        return tuple(tensor.to(self.device) for tensor in made)

    def call(self, variant: Variant, inputs: tuple[Tensor, ...], steps: int) -> Callable[[], Tensor]:
        """Return a function that decodes the inputs and returns images (B, 3, H, W) in [-1, 1]."""
        model: Any
        refiner: Any
        model, refiner = self._model(variant)
        y_hat, quality, side, present, noise = inputs
        told = self._nothing_told(y_hat)
        layout = torch.channels_last if variant.channels_last else torch.contiguous_format
        side = side.contiguous(memory_format=layout)

        def decode() -> Tensor:
            with running(variant, self.device):
                out = model.decode(y_hat, quality, side, present, noise, steps)
                image: Tensor = out.blend.image
                if refiner is not None:
                    image = refiner(image.float(), out.geometry.warped.float(), out.blend.mask.float(), *told)
                return image

        return decode

    def _nothing_told(self, y_hat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return intervals without bounds: the network's work does not depend on them."""
        from cloud.models.refiner import intervals
        from common.entropy.refinement import Refinement

        return intervals([Refinement.nothing(*y_hat.shape[2:])] * len(y_hat), self.device)

    def _model(self, variant: Variant) -> tuple[nn.Module, nn.Module | None]:
        key = (variant.dtype, variant.channels_last, variant.compiled)
        if key not in self._prepared:
            self._prepared[key] = prepared(self.model, self.refiner, variant)
        return self._prepared[key]


def random_refiner() -> Any:
    """Return an untrained refiner in which nothing is zero."""
    from cloud.models.refiner import Refiner

    torch.manual_seed(1)
    return _without_zeros(Refiner()).eval().requires_grad_(False)


def random_codec() -> Any:
    """Return an untrained codec of the default sizes in which nothing is zero: hardware is faster on zeros."""
    from cloud.models.codec import Codec, ModelConfig

    torch.manual_seed(0)
    model: Any = _without_zeros(Codec(ModelConfig()))
    model.latent.fit(torch.randn(4096, 3, 8, 8) * 0.3)
    return model.eval().requires_grad_(False)


def _without_zeros(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1 and not parameter.any():
                parameter.normal_(0, 0.02)
    return network


def prepared(
    model: nn.Module, refiner: nn.Module | None, variant: Variant
) -> tuple[nn.Module, nn.Module | None]:
    """Return copies of our networks with the variant's weights, layout and compiled parts."""
    twin, last = (_converted(network, variant) for network in (model, refiner))
    if variant.compiled:
        for owner, name in ((twin, "side"), (twin, "geometry"), (twin.denoiser, "unet"), (twin, "pixels")):
            setattr(owner, name, torch.compile(getattr(owner, name), dynamic=False))
        last = None if last is None else torch.compile(last, dynamic=False)
    return twin, last


def _converted(network: nn.Module | None, variant: Variant) -> Any:
    twin = copy.deepcopy(network)
    if twin is None:
        return None
    for module in twin.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.to(variant.dtype)
    return twin.to(memory_format=torch.channels_last if variant.channels_last else torch.contiguous_format)


class LatentDiffusion:
    """A UNet and a VAE decoder of Stable Diffusion 2.1's architecture with random weights, run as the paper runs it.

    Ten DDIM steps with classifier-free guidance (each step computes two predictions a frame), 77 text tokens, then
    the VAE's decoder. Left out, to its advantage: the side view's VAE encoder, the captioner, the text encoder.
    """

    unet: Any
    vae: Any

    def __init__(self, device: torch.device, tiny: bool) -> None:
        """Build it on the device: half precision on CUDA, float32 on the CPU; `tiny` scales all widths down."""
        from diffusers import AutoencoderKL, UNet2DConditionModel

        make_unet: Any = UNet2DConditionModel  # diffusers is untyped
        make_vae: Any = AutoencoderKL
        self.device, self.tiny = device, tiny
        self._config = TINY_UNET if tiny else SD_UNET
        self.dtype = torch.float16 if device.type == "cuda" else torch.float32
        torch.manual_seed(0)
        with torch.device(device):
            built = make_unet(**self._config), make_vae(**(TINY_VAE if tiny else SD_VAE))
        # The plain module's `to`: diffusers' own warns of modules to keep in float32 and names none.
        self.unet, self.vae = (nn.Module.to(x.eval().requires_grad_(False), self.dtype) for x in built)
        self._compiled: Any = None
        self._layout: torch.memory_format | None = None

    def describe(self) -> dict[str, Any]:
        """Return what a report says about it."""
        what = (
            "scaled down, NOT of Stable Diffusion's size: shows that the command runs, says nothing else"
            if self.tiny
            else "UNet2DConditionModel and AutoencoderKL of Stable Diffusion 2.1's architecture"
        )
        return {
            "what": what,
            "tiny": self.tiny,
            "weights": "random",
            "unet_parameters": count(self.unet),
            "vae_parameters": count(self.vae),
            "steps": SD_STEPS,
            "guidance": SD_GUIDANCE,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def inputs(self, height: int, width: int, batch: int) -> tuple[Tensor, ...]:
        """Return (noise (B, 4, H/8, W/8), text of both halves (2B, 77, D)) on the device."""
        random = torch.Generator().manual_seed(2)
        noise = torch.randn((batch, 4, -(-height // 8), -(-width // 8)), generator=random)
        text = torch.randn((2 * batch, SD_TOKENS, self._config["cross_attention_dim"]), generator=random)
        return noise.to(self.device, self.dtype), text.to(self.device, self.dtype)

    def call(
        self, variant: Variant, inputs: tuple[Tensor, ...], steps: int = SD_STEPS
    ) -> Callable[[], Tensor]:
        """Return a function that samples and returns images (B, 3, H, W)."""
        from diffusers import DDIMScheduler

        make: Any = DDIMScheduler
        scheduler = make(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction",
        )  # fmt: skip
        scheduler.set_timesteps(steps)
        noise, text = inputs
        self._arrange(torch.channels_last if variant.channels_last else torch.contiguous_format)
        unet = self._unet(variant)
        batch = len(noise)

        def generate() -> Tensor:
            with torch.inference_mode():
                latent = noise
                for timestep in scheduler.timesteps:
                    # On the device from the start: a copy from the host would forbid a graph.
                    times = torch.full((2 * batch,), int(timestep), device=self.device)
                    both = unet(
                        torch.cat([latent, latent]), times, encoder_hidden_states=text, return_dict=False
                    )
                    plain, told = both[0].chunk(2)
                    guided = plain + SD_GUIDANCE * (told - plain)
                    latent = scheduler.step(guided, timestep, latent, return_dict=False)[0]
                image: Tensor = self.vae.decode(latent / SD_SCALING, return_dict=False)[0]
                return image

        return generate

    def _arrange(self, layout: torch.memory_format) -> None:
        if layout is not self._layout:
            self.unet, self.vae = self.unet.to(memory_format=layout), self.vae.to(memory_format=layout)
            self._layout = layout

    def _unet(self, variant: Variant) -> Any:
        if not variant.compiled:
            return self.unet
        if self._compiled is None:
            self._compiled = torch.compile(self.unet, dynamic=False)
        return self._compiled
