"""Linear probes, one module each; what they share (folds, shuffles, the sweep over layers) is in modules with `_`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layeratlas.probes._contract import Fold, Gram, Probe
from layeratlas.probes._description import layer_bits
from layeratlas.probes._folds import label_shuffles, make_folds
from layeratlas.probes._sweep import Design, Probed, make_design, probe_layer, surface_baseline

if TYPE_CHECKING:
    from layeratlas.probes._estimator import LinearProbeClassifier, LinearProbeRegressor

__all__ = [
    "Design",
    "Fold",
    "Gram",
    "LinearProbeClassifier",
    "LinearProbeRegressor",
    "Probe",
    "Probed",
    "label_shuffles",
    "layer_bits",
    "make_design",
    "make_folds",
    "probe_layer",
    "surface_baseline",
]


def __getattr__(name: str) -> Any:
    # The estimators alone are built on scikit-learn, whose import no run needs to wait for.
    if name not in __all__:
        raise AttributeError(f"module 'layeratlas.probes' has no attribute '{name}'")
    from layeratlas.probes import _estimator

    return getattr(_estimator, name)
