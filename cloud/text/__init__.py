"""Textual side information: what the side view shows, in words; it costs no bits."""
