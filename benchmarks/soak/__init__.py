"""A long stream through a real server: every frame answered, nothing that grows."""
