"""Comparison across models: runs of the same study on the same texts become one folder with tables and a page."""

from layeratlas.comparison.compare import compare, default_folder

__all__ = ["compare", "default_folder"]
