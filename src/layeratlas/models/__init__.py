"""Models: safe loading, anatomy found by structure, and self-tests that check it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layeratlas.models.anatomy import Anatomy, Contribution, Skeleton, Tap, find_skeleton
    from layeratlas.models.identities import Identity
    from layeratlas.models.intervening import intervene, mean_vectors
    from layeratlas.models.loaded import LoadedModel
    from layeratlas.models.loading import load
    from layeratlas.models.observing import observe
    from layeratlas.models.selftest import self_test

__all__ = [
    "Anatomy",
    "Contribution",
    "Identity",
    "LoadedModel",
    "Skeleton",
    "Tap",
    "find_skeleton",
    "intervene",
    "load",
    "mean_vectors",
    "observe",
    "self_test",
]
_HOME = {
    "anatomy": ("Anatomy", "Contribution", "Skeleton", "Tap", "find_skeleton"),
    "identities": ("Identity",),
    "intervening": ("intervene", "mean_vectors"),
    "loaded": ("LoadedModel",),
    "loading": ("load",),
    "observing": ("observe",),
    "selftest": ("self_test",),
}


def __getattr__(name: str) -> Any:
    # Imported on first use: torch takes seconds to import, and locating a model does not need it.
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"layeratlas.models.{module}"), name)
    raise AttributeError(f"module 'layeratlas.models' has no attribute '{name}'")
