"""The stage that reads the routers of a mixture-of-experts model on the run's texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats, Ints
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, label_shuffles
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.intervals import draws_interval, widened
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.routing import entropy
from layeratlas.studies.hierarchy.capturing import distinct_texts
from layeratlas.studies.hierarchy.designs import designs_of
from layeratlas.studies.hierarchy.experts.classes import class_distances
from layeratlas.studies.hierarchy.names import EXPERT_USE, EXPERTS

# Label shuffles: enough for one data set to be supported after Holm's correction over all data sets of a run.
_SHUFFLES = 1999
_SCHEMA = {"level": pl.String, "block": pl.Int64, "expert": pl.Int64, "share": pl.Float64}


def experts_stage(work: Workspace) -> list[str]:
    """Read every router at the run's position; write its entropy, use of experts and difference between classes.

    Raises ModelError as `find_routers` does.
    """
    if not work.settings.experts:
        return []
    from layeratlas.capture.routes import read_routers
    from layeratlas.models.routers import find_routers

    model = work.model
    routers = find_routers(model)
    designs = designs_of(work)
    texts = distinct_texts(model, [design.data for design in designs], work.spec.capture.position)
    readings = texts.readings
    with work.progress.stage("experts", sum(len(reading.ids) for reading in readings)) as step:
        probabilities, used = read_routers(model, routers, readings, work.spec.capture.batch_tokens, step)
    numbers = np.array([[router.block, router.experts] for router in routers])
    tables = [_of_set(work, design, probabilities, used, (texts.rows_of(design.data), numbers)) for design in designs]
    write_table(work, EXPERTS, pl.concat(tables))
    write_table(work, EXPERT_USE, _use([(d.data, used[texts.rows_of(d.data)]) for d in designs], numbers))
    return [EXPERTS, EXPERT_USE]


def _of_set(
    work: Workspace, design: Design, probabilities: Floats, used: Floats, where: tuple[list[int], Ints]
) -> pl.DataFrame:
    """Return one row per router of a data set; `best` and `p` belong to the data set (see `Distances`)."""
    data, (rows, numbers) = design.data, where
    groups = [item.group for item in data.items]
    sampler = Resampler(groups, work.spec.probe.bootstrap, work.spec.seed)
    weights, n_groups = sampler.weights(groups, halves=False), len(set(groups))
    even = entropy(probabilities[rows], numbers[:, 1])
    entropies = weights @ even / weights.sum(1, keepdims=True)
    wide = widened(entropies[0], entropies[1:], n_groups, times=1.0, least=0.0, most=1.0)
    lo, hi = draws_interval(wide, n_groups, least=0.0, most=1.0)
    columns = {
        "level": data.level,
        "task": data.name,
        "block": numbers[:, 0],
        "experts": numbers[:, 1],
        "entropy": entropies[0],
        "entropy_lo": lo,
        "entropy_hi": hi,
        **_between_classes(work, design, used[rows], numbers[:, 0]),
        "n": len(rows),
        "n_groups": n_groups,
    }
    return pl.DataFrame(columns, schema_overrides=_OF_CLASSES)


_OF_CLASSES = dict.fromkeys(
    ("distance", "distance_lo", "distance_hi", "control", "control_hi", "best", "best_lo", "best_hi", "p"), pl.Float64
) | {"best_block": pl.Int64}


def _between_classes(work: Workspace, design: Design, used: Floats, blocks: Ints) -> dict[str, Floats | float | None]:
    """Return the columns about classes; None for numeric labels."""
    if not design.classes:
        return dict.fromkeys(_OF_CLASSES)
    groups = [item.group for item in design.data.items]
    found = class_distances(
        used,
        design.y,
        label_shuffles(design.data, design.folds, _SHUFFLES, work.spec.seed),
        groups,
        Resampler(groups, work.spec.probe.bootstrap, work.spec.seed),
    )
    return {
        "distance": found.value,
        "distance_lo": found.lo,
        "distance_hi": found.hi,
        "control": found.control,
        "control_hi": found.control_hi,
        "best": found.excess.estimate,
        "best_lo": found.excess.lo,
        "best_hi": found.excess.hi,
        "p": found.excess.p,
        "best_block": int(blocks[found.top]),
    }


def _use(sets: Sequence[tuple[Dataset, Floats]], numbers: Ints) -> pl.DataFrame:
    """Return the share of each expert by level and block: the mean over the texts of the level."""
    rows = []
    for level in dict.fromkeys(data.level for data, _ in sets):
        mean = np.concatenate([used for data, used in sets if data.level == level]).mean(0)
        for number, (block, experts) in enumerate(numbers.tolist()):
            shares = enumerate(mean[number, :experts].tolist())
            rows += [{"level": level, "block": block, "expert": expert, "share": share} for expert, share in shares]
    return pl.DataFrame(rows, schema=_SCHEMA)
