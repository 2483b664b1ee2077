"""Layer Atlas: what each layer of a causal language model encodes, with intervals, controls and nulls.

import layeratlas as la
run = la.run("hierarchy", model="...", size="quick")
run.curves, run.findings, run.plot("relation")
la.probe(texts, labels, model="...", groups=...)  # labelled texts of your own
la.atlas(model="...")  # all three studies of a model, one page
la.compare([run, other_run])  # runs of several models on the same texts
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "run": "api",
    "probe": "api",
    "Run": "api",
    "atlas": "api",
    "compare": "api",
    "Comparison": "api",
    "AtlasError": "core.errors",
    "CaptureSpec": "core.spec",
    "ModelSpec": "core.spec",
    "ProbeSpec": "core.spec",
    "RunSpec": "core.spec",
    "LinearProbeClassifier": "probes",
    "LinearProbeRegressor": "probes",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    # Loaded when first used: `import layeratlas` and `layeratlas --help` do not wait for torch.
    if name not in _HOME:
        raise AttributeError(f"module 'layeratlas' has no attribute '{name}'")
    return getattr(importlib.import_module(f"layeratlas.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
