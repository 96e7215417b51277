"""Rate-distortion: our codec, what the side view gives for nothing, and what conventional codecs reach."""
