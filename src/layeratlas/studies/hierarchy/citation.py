"""The source of the claims."""

from __future__ import annotations

CITATION = "Bogdan (2025), arXiv 2501.07359"


LARGE = (3e10, float("inf"))


SMALL = (0.0, 1e10)
