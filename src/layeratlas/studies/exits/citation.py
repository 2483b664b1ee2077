"""The source of the claims."""

from __future__ import annotations

CHEN = "Chen et al. (2023), arXiv 2312.04333"
