"""The probing stage of one process writes each score once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import small_runs
from layeratlas.core import registry
from layeratlas.core.progress import Progress
from layeratlas.runs.pipeline import make_material
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import write_shard
from layeratlas.studies.hierarchy import cells


@pytest.mark.parametrize("each", [False, True])
def test_scores_are_written_once_unless_a_table_has_several_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: bool
) -> None:
    written: list[str] = []

    def write(path: Path, *what: Any) -> None:
        written.append(path.parent.name)
        write_shard(path, *what)

    monkeypatch.setattr(cells, "write_shard", write)
    if each:
        monkeypatch.setattr(cells, "cell_layers", lambda *_: 1)
    spec = small_runs.spec_of("hierarchy", tmp_path, small_runs.model_folder(tmp_path, "llama"), components=("resid",))
    study = registry.get("studies", "hierarchy")
    settings = study.settings(**spec.settings)
    spec = study.prepare(spec, settings)
    work = Workspace(tmp_path / "run", spec, make_material(study, spec), Progress(), settings)
    study.stages()["capture"](work)
    (scores,) = cells.probe_stage(work)
    assert (work.folder / scores).is_file()
    assert not (work.folder / "cells").exists()
    points = work.model.anatomy.n_layers + 1
    # One file of cells is the surface baseline's.
    assert Counter(written) == {"scores": 1, "cells": 1 + (points if each else 0)}
