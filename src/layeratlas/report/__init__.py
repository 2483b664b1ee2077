"""The report of a run: one page that works with networking off, and its figures; it never sees a model."""

from layeratlas.report.figures import figure
from layeratlas.report.page import build

__all__ = ["build", "figure"]
