"""Layer Atlas from Python: run a study, probe your own texts, compare models, open finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.lazy import lazy

if TYPE_CHECKING:
    from layeratlas.api.compared import Comparison
    from layeratlas.api.event_files import tensorboard
    from layeratlas.api.folders import figures, index, report
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
    "figures",
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
    "folders": ("figures", "index", "report"),
    "results": ("Run", "load"),
    "run_status": ("status",),
    "running": ("atlas", "check", "compare", "run", "run_atlas", "run_spec"),
    "sharing": ("share", "shared_contents"),
    "texts": ("probe",),
}
__getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
