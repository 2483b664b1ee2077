"""The source of the claims."""

from __future__ import annotations

ZHANG = "Zhang, Dong and Xu (2025), arXiv 2505.18244"
