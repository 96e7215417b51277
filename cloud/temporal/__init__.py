"""Temporal side information: the previous reconstruction, moved along, mends the present one."""
