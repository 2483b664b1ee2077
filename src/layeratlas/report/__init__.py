"""The report of a run or a comparison: one page that works with networking off, and its figures."""

from layeratlas.report.comparing import build_comparison
from layeratlas.report.figures import figure
from layeratlas.report.page import build

__all__ = ["build", "build_comparison", "figure"]
