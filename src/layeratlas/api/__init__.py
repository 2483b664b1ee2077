"""Layer Atlas from Python: run a study, probe your own texts, compare models, open finished runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layeratlas.api.compared import Comparison
    from layeratlas.api.event_files import tensorboard
    from layeratlas.api.folders import index, report
    from layeratlas.api.results import Run, load
    from layeratlas.api.run_status import status
    from layeratlas.api.running import atlas, check, compare, run, run_atlas, run_spec
    from layeratlas.api.sharing import share, shared_contents
    from layeratlas.api.texts import probe

__all__ = [
    "Comparison",
    "Run",
    "atlas",
    "check",
    "compare",
    "index",
    "load",
    "probe",
    "report",
    "run",
    "run_atlas",
    "run_spec",
    "share",
    "shared_contents",
    "status",
    "tensorboard",
]
_HOME = {
    "compared": ("Comparison",),
    "event_files": ("tensorboard",),
    "folders": ("index", "report"),
    "results": ("Run", "load"),
    "run_status": ("status",),
    "running": ("atlas", "check", "compare", "run", "run_atlas", "run_spec"),
    "sharing": ("share", "shared_contents"),
    "texts": ("probe",),
}


def __getattr__(name: str) -> Any:
    # Loaded when first used: a command waits only for the modules that it uses.
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"layeratlas.api.{module}"), name)
    raise AttributeError(f"module 'layeratlas.api' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
