"""Layer metrics: what the states of one passage, or of a set of passages, look like at every layer.

A plug-in is one module with an attribute `PLUGIN`, a `Metric` or a `SetMetric`, which may give several signals.
Metrics take arrays and never see a model.
"""

from layeratlas.metrics._contract import GROUPS, Lens, Metric, Passage, SetMetric, Signal

__all__ = ["GROUPS", "Lens", "Metric", "Passage", "SetMetric", "Signal"]
