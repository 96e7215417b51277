"""Other ways to quantise and predict the latents, trained and compared in benchmarks/ablation; no bundle holds them."""
