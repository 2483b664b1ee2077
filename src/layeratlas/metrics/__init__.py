"""Layer metrics: properties of the states of one passage, or of a set of passages, at every layer.

A plug-in is one module with an attribute `PLUGIN`, a `Metric` or a `SetMetric`; each computes one or more signals.
Metrics take arrays only, never a model.
"""

from layeratlas.metrics._contract import GROUPS, LensReadout, Metric, Passage, SetMetric, Signal

__all__ = ["GROUPS", "LensReadout", "Metric", "Passage", "SetMetric", "Signal"]
