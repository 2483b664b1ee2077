"""Comparison across models: combines runs of the same study on the same texts into a folder with tables and a page."""

from layeratlas.comparison.compare import compare, default_folder

__all__ = ["compare", "default_folder"]
