"""Models: safe loading, anatomy found by structure, and self-tests that check it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.lazy import lazy

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
# Torch takes seconds to import, and locating a model does not need it.
__getattr__ = lazy(__name__, _HOME)
