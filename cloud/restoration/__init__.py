"""Repair of side views that a lossy codec has damaged."""
