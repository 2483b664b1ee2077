"""The source of the claims, and the models that they speak of."""

from __future__ import annotations

from layeratlas.runs.claim import ModelSizes

CITATION = "Bogdan (2025), arXiv 2501.07359"
# The paper measures models of 3 and 70 billion parameters.
LARGE = ModelSizes(least=3e10)
SMALL = ModelSizes(most=1e10)
