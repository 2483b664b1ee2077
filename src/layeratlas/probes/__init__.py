"""Linear probes, one module per probe; modules named `_x` hold shared code: folds, shuffles, the layer sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.lazy import lazy
from layeratlas.probes._contract import Fold, Probe
from layeratlas.probes._description import CodeLengths, layer_bits
from layeratlas.probes._dual import Weights, held_out_scores, split_gram
from layeratlas.probes._folds import label_shuffles, make_folds
from layeratlas.probes._gram import Gram
from layeratlas.probes._large import LargeSet
from layeratlas.probes._ratio import ratio_of
from layeratlas.probes._refitting import training_of
from layeratlas.probes._sampling import sample_groups
from layeratlas.probes._shards import probe_shards
from layeratlas.probes._subsets import dimension_scores, subset_scores
from layeratlas.probes._surface import MOST_SUMMED, SurfaceBaseline, large_surface_baseline, surface_baseline
from layeratlas.probes._sweep import (
    Design,
    LayerScores,
    Probed,
    bare_design,
    make_design,
    probe_layer,
    probe_layers,
    probe_weights,
    twice_split,
)

if TYPE_CHECKING:
    from layeratlas.probes._estimator import LinearProbeClassifier, LinearProbeRegressor

__all__ = [
    "MOST_SUMMED",
    "CodeLengths",
    "Design",
    "Fold",
    "Gram",
    "LargeSet",
    "LayerScores",
    "LinearProbeClassifier",
    "LinearProbeRegressor",
    "Probe",
    "Probed",
    "SurfaceBaseline",
    "Weights",
    "bare_design",
    "dimension_scores",
    "held_out_scores",
    "label_shuffles",
    "large_surface_baseline",
    "layer_bits",
    "make_design",
    "make_folds",
    "probe_layer",
    "probe_layers",
    "probe_shards",
    "probe_weights",
    "ratio_of",
    "sample_groups",
    "split_gram",
    "subset_scores",
    "surface_baseline",
    "training_of",
    "twice_split",
]
# Scikit-learn is slow to import, and only the estimators need it.
__getattr__ = lazy(__name__, {"_estimator": ["LinearProbeClassifier", "LinearProbeRegressor"]})
