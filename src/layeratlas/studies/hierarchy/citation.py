"""The paper whose claims this study tests, and the model sizes that they are about."""

from __future__ import annotations

CITATION = "Bogdan (2025), arXiv 2501.07359"
# Ranges of parameters: the paper's small model has 3 billion, its large one 70 billion.
SMALL = (0.0, 1e10)
LARGE = (3e10, float("inf"))
