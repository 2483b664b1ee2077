"""Layer Atlas: what each layer of a causal language model encodes, with intervals, controls and nulls.

import layeratlas as la
run = la.run("hierarchy", model="...", size="quick")
run.curves, run.findings, run.plot("relation")
la.probe(texts, labels, model="...", groups=...)  # labelled texts of your own
la.atlas(model="...")  # hierarchy, exits, causal and segments of a model, one page
la.compare([run, other_run])  # runs of several models on the same texts
la.training(model="folder/of/checkpoints")  # a study over training
la.load("runs/...")  # a finished run or comparison
la.share("runs/...")  # a folder to publish, without your own texts
run.best_layer("relation"), run.direction("relation")  # which layer to use, and the vector to take away
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layeratlas.core.lazy import lazy

if TYPE_CHECKING:
    from layeratlas.api import Comparison, Run, atlas, check, compare, load, probe, run, share
    from layeratlas.core.edits import Edit
    from layeratlas.core.errors import AtlasError
    from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec, RunSpec
    from layeratlas.directions import Direction, load_direction
    from layeratlas.models import intervene
    from layeratlas.probes import LinearProbeClassifier, LinearProbeRegressor
    from layeratlas.sweeps import Sweep, SweepSpec, sweep, training

    __version__: str

__all__ = [
    "AtlasError",
    "CaptureSpec",
    "Comparison",
    "Direction",
    "Edit",
    "LinearProbeClassifier",
    "LinearProbeRegressor",
    "ModelSpec",
    "ProbeSpec",
    "Run",
    "RunSpec",
    "Sweep",
    "SweepSpec",
    "__version__",
    "atlas",
    "check",
    "compare",
    "intervene",
    "load",
    "load_direction",
    "probe",
    "run",
    "share",
    "sweep",
    "training",
]
_HOME = {
    "api": ("Comparison", "Run", "atlas", "check", "compare", "load", "probe", "run", "share"),
    "core.edits": ("Edit",),
    "core.errors": ("AtlasError",),
    "core.spec": ("CaptureSpec", "ModelSpec", "ProbeSpec", "RunSpec"),
    "directions": ("Direction", "load_direction"),
    "models": ("intervene",),
    "probes": ("LinearProbeClassifier", "LinearProbeRegressor"),
    "sweeps": ("Sweep", "SweepSpec", "sweep", "training"),
}
_find = lazy(__name__, _HOME)


def __getattr__(name: str) -> Any:
    # Loaded when first used: `import layeratlas` and `layeratlas --help` do not wait for torch.
    if name == "__version__":
        from importlib.metadata import version

        return version("layeratlas")
    return _find(name)


def __dir__() -> list[str]:
    return __all__
