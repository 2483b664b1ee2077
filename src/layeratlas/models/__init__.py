"""Models: loaded safely, taken apart by structure, proved by self-tests."""

from layeratlas.models.anatomy import Anatomy, Contribution, Skeleton, Tap, find_skeleton
from layeratlas.models.intervening import intervene, mean_vectors
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.loading import load
from layeratlas.models.observing import observe
from layeratlas.models.selftest import Identity, self_test

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
