"""Curves as TensorBoard event files: over layers for a run, over training steps for a comparison of checkpoints."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from layeratlas.api.compared import Comparison
from layeratlas.api.folders import check_new, folder_beside, written_whole
from layeratlas.api.results import load
from layeratlas.core.errors import SpecError, StoreError

# The values of a curve; each is a run of TensorBoard, so that one chart shows them together.
_LINES = ("estimate", "lo", "hi", "control", "baseline", "chance")
# The columns that name a chart; the first one names its section.
_OVER_LAYERS: tuple[str, ...] = ("metric", "level", "task", "stratum", "component", "method")
_OVER_TRAINING: tuple[str, ...] = ("quantity", "study", "series", "level")


def tensorboard(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the curves of a run or comparison as TensorBoard event files and return their folder, FOLDER-tensorboard.

    A step is a layer, or a training step in a comparison over training. Each curve is a chart, and its estimate, the
    ends of its 95 % interval, control, baseline and chance are lines of it. Raises SpecError if the package tensorboard
    is missing, StoreError if `out` is not empty or the comparison is not one over training.
    """
    read = load(folder)
    if isinstance(read, Comparison):
        table, named = read.training.rename({"value": "estimate"}), _OVER_TRAINING
        if table.is_empty():
            raise StoreError(
                f"'{folder}' is no comparison over training", "a run, or several checkpoints", "give a run"
            )
    else:
        table, named = read.curves.rename({"layer": "step"}), _OVER_LAYERS
    target = folder_beside(read.folder, out, "tensorboard")
    check_new(target)
    with written_whole(target) as part:
        for line in _LINES:
            if line in table.columns:
                _write(part / line, table.filter(pl.col(line).is_not_null() & pl.col(line).is_not_nan()), named, line)
    return target


def _write(folder: Path, table: pl.DataFrame, named: tuple[str, ...], line: str) -> None:
    """Write one value of every curve; TensorBoard takes what is before the slash of a tag as a section."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SpecError(
            "event files need the package 'tensorboard'", "that package", "pip install 'layeratlas[tensorboard]'"
        ) from error
    with SummaryWriter(str(folder)) as writer:
        for row in table.sort(*named, "step").iter_rows(named=True):
            first, *others = (row[name] for name in named)
            writer.add_scalar(f"{first}/{' '.join(others)}", row[line], row["step"])
