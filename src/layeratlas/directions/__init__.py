"""Directions to take away from a run: a fitted direction of one layer, its files, and steering with it."""

from layeratlas.directions.direction import Direction, load_direction

__all__ = ["Direction", "load_direction"]
