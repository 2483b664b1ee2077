"""Linear probes: a module each, plus folds, shuffles and the dual form that they share (modules with _)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layeratlas.probes._folds import label_shuffles, make_folds

if TYPE_CHECKING:
    from layeratlas.probes._estimator import LinearProbeClassifier, LinearProbeRegressor

__all__ = ["LinearProbeClassifier", "LinearProbeRegressor", "label_shuffles", "make_folds"]


def __getattr__(name: str) -> Any:
    # The estimators alone are built on scikit-learn, whose import no run needs to wait for.
    if name not in __all__:
        raise AttributeError(f"module 'layeratlas.probes' has no attribute '{name}'")
    from layeratlas.probes import _estimator

    return getattr(_estimator, name)
