"""The report of a run: one page that works offline, and its figures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layeratlas.report.notebook import figure
    from layeratlas.report.page import build

__all__ = ["build", "figure"]
_HOME = {"build": "page", "figure": "notebook"}


def __getattr__(name: str) -> Any:
    # Imported on first use, because a study refers to its report stage long before it draws anything.
    if name not in _HOME:
        raise AttributeError(f"module 'layeratlas.report' has no attribute '{name}'")
    return getattr(importlib.import_module(f"layeratlas.report.{_HOME[name]}"), name)
