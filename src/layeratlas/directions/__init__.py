"""Fitted directions of one layer: export from a run, files, steering and erasure."""

from layeratlas.directions.direction import Direction, load_direction

__all__ = ["Direction", "load_direction"]
