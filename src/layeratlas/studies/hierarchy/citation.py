"""The paper whose claims this study tests, and the model sizes to which the claims apply."""

from __future__ import annotations

from layeratlas.runs.claim import ModelSizes

CITATION = "Bogdan (2025), arXiv 2501.07359"
# The paper's small model has 3 billion parameters, its large one 70 billion.
LARGE = ModelSizes(least=3e10)
SMALL = ModelSizes(most=1e10)
