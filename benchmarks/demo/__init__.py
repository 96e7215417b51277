"""The demo: a synthetic street streamed from one process to another, measured and shown."""
