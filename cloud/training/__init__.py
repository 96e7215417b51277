"""Training: resumable, on CPU or GPU, configured by TOML. Serving code never imports it."""
