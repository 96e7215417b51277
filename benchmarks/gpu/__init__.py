"""What `benchmarks/gpu_decode.py` times, and how it keeps time."""
