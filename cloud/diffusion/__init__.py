"""The diffusion decoder: latent space, denoiser, few-step sampler."""
