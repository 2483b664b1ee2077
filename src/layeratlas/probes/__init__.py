"""Linear probes: a module each, plus folds, shuffles and the dual form that they share (modules with _)."""

from layeratlas.probes._estimator import LinearProbeClassifier, LinearProbeRegressor
from layeratlas.probes._folds import label_shuffles, make_folds

__all__ = ["LinearProbeClassifier", "LinearProbeRegressor", "label_shuffles", "make_folds"]
