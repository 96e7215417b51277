"""What lossy, stale, wrong and foreign side views do to the picture, and what steps, threshold and text change."""
