"""The stream over emulated links: `python -m benchmarks link`."""
