"""Layer Atlas from Python: run a study, probe your own texts, compare models, open finished runs."""

from layeratlas.api.compared import Comparison
from layeratlas.api.event_files import tensorboard
from layeratlas.api.folders import index, report
from layeratlas.api.results import Run, load
from layeratlas.api.running import atlas, check, compare, run, run_atlas, run_spec
from layeratlas.api.sharing import share
from layeratlas.api.status import status
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
    "status",
    "tensorboard",
]
