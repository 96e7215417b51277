"""Where decoding runs: in a thread of this process, or nowhere (recording only)."""
