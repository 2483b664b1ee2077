"""The sources of the claims."""

from __future__ import annotations

ZHANG = "Zhang, Dong and Xu (2025), arXiv 2505.18244"
CHEN = "Chen et al. (2023), arXiv 2312.04333"
