"""The report of a run: one page that works offline, and its charts as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.lazy import lazy

if TYPE_CHECKING:
    from layeratlas.report.drawing import draw, main_figure
    from layeratlas.report.notebook import figure
    from layeratlas.report.page import build
    from layeratlas.report.summary import summary_of

__all__ = ["build", "draw", "figure", "main_figure", "summary_of"]
# A study refers to its report stage long before it draws anything.
__getattr__ = lazy(
    __name__,
    {"drawing": ["draw", "main_figure"], "page": ["build"], "notebook": ["figure"], "summary": ["summary_of"]},
)
