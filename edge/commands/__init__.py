"""The commands of `mdic-edge`, one module each: `add_arguments(parser)` and `run(args) -> int`."""
