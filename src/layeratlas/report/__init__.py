"""The report of a run: one page that works offline, and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.lazy import lazy

if TYPE_CHECKING:
    from layeratlas.report.notebook import figure
    from layeratlas.report.page import build

__all__ = ["build", "figure"]
# A study refers to its report stage long before it draws anything.
__getattr__ = lazy(__name__, {"page": ["build"], "notebook": ["figure"]})
