"""What the decoder knows besides the bitstream: the side view and what is read from it."""
