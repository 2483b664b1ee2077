"""The stage that finds the boundaries, tests whether they exist, and writes `segments.json`.

Later stages (perturbation, intervention, tables, report) read the boundaries from that file alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from layeratlas.core.errors import DataError
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.segmentation import left_out, shortest_segment
from layeratlas.studies.segments import first_version
from layeratlas.studies.segments.boundaries import BoundaryEstimate, find_boundaries, leave_one_out, resampled
from layeratlas.studies.segments.existence import existence_test
from layeratlas.studies.segments.measuring import TRAINED, UNTRAINED, read_values
from layeratlas.studies.segments.names import BOUNDARY_DRAWS_FILE, EXACT, FIRST_VERSION, SEGMENTS_FILE
from layeratlas.studies.segments.passages import kinds_of
from layeratlas.studies.segments.record import (
    ExistenceRecord,
    FirstVersionRecord,
    SegmentsRecord,
    UntrainedRecord,
    boundary_record,
    existence_record,
    segments_between,
    write_segments,
)
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.sharpness import sharpness_intervals
from layeratlas.studies.segments.signals import BlockSignals, block_signals, passage_signals
from layeratlas.studies.segments.text_kinds import compare_kinds


def segment_stage(work: Workspace) -> list[str]:
    """Find two boundaries, test whether they exist, and write `segments.json`."""
    settings, seed = work.settings, work.spec.seed
    signals = block_signals(read_values(work, TRAINED))
    with work.progress.stage("segment", 4) as step:
        estimates = {EXACT: find_boundaries(signals, settings.draws, seed)}
        information = first_version.information_of(signals)
        if information is not None:
            estimates[FIRST_VERSION] = first_version.first_version_boundaries(information, settings.draws, seed)
        if settings.method not in estimates:
            raise DataError(
                "the mutual information of neighbouring layers could not be measured",
                "it, for the rule of the first version",
                "use --set method=exact",
            )
        step.advance()
        existence = tested_existence(signals, settings, seed)
        step.advance()
        shown, blocks = estimates[settings.method], signals.values.shape[2]
        record = SegmentsRecord(
            **boundary_record(shown).model_dump(),
            method=settings.method,
            blocks=blocks,
            passages=len(signals.values),
            signals=dict(zip(signals.names, signals.groups, strict=True)),
            missing=_missing(work),
            shortest=shortest_segment(blocks - 2 * left_out(blocks)),
            mode=shown.mode.tolist(),
            share=shown.share.tolist(),
            segments=segments_between(shown.boundaries.tolist(), blocks),
            together=np.round(shown.together, 4).tolist(),
            existence=existence,
            v1=_first_version_record(signals, estimates),
            exact=boundary_record(estimates[EXACT]),
            leave_one_out={name: boundaries.tolist() for name, boundaries in leave_one_out(signals).items()},
            kinds=compare_kinds(signals, kinds_of(work), settings, seed),
            untrained=_untrained_record(work),
        )
        step.advance(2)
    write_segments(work.folder, record)
    write_table(work, BOUNDARY_DRAWS_FILE, draw_table(estimates))
    return [SEGMENTS_FILE, BOUNDARY_DRAWS_FILE]


def tested_existence(signals: BlockSignals, settings: SegmentSettings, seed: int) -> ExistenceRecord:
    """Return the existence test of the mean over passages, with intervals over passages for the sharpness."""
    mean, passages = signals.values.mean(0), len(signals.values)
    existence = existence_test(mean, signals.groups, seed, settings.surrogates)
    places = [sharp.boundary for sharp in existence.boundaries]
    draws = resampled(signals.values, settings.draws, seed)
    return existence_record(existence, sharpness_intervals(mean, draws, places, passages))


def draw_table(estimates: Mapping[str, BoundaryEstimate]) -> pl.DataFrame:
    """Return the bootstrap draws by method: `draw` from 0, `boundary` 1 or 2, `layer` the first block after it.

    Runs with the same number of passages and the same seed resample the same passages in each draw, so the difference
    between two models is paired.
    """
    parts = []
    for method, estimate in estimates.items():
        draw, boundary = np.indices(estimate.draws.shape)
        columns = {"draw": draw.ravel(), "boundary": boundary.ravel() + 1, "layer": estimate.draws.ravel()}
        parts.append(pl.DataFrame({"method": [method] * estimate.draws.size, **columns}))
    return pl.concat(parts)


def _missing(work: Workspace) -> list[str]:
    """Return the fused signals that could not be measured."""
    signals = passage_signals()
    return [name for name in work.manifest["segments"]["missing"] if signals[name].fused]


def _first_version_record(
    signals: BlockSignals, estimates: Mapping[str, BoundaryEstimate]
) -> FirstVersionRecord | None:
    information = first_version.information_of(signals)
    if information is None:
        return None
    return FirstVersionRecord(
        boundaries=estimates[FIRST_VERSION].boundaries.tolist(),
        below_two_sd=first_version.candidates(information.mean((0, 1))).tolist(),
    )


def _untrained_record(work: Workspace) -> UntrainedRecord | None:
    """Return the existence test of the random-weight model, or None if it was not measured."""
    values = read_values(work, UNTRAINED)
    if not values:
        return None
    signals = block_signals(values)
    existence = tested_existence(signals, work.settings, work.spec.seed)
    first, second = (sharp.boundary for sharp in existence.sharpness)
    return UntrainedRecord(
        passages=len(signals.values),
        signals=signals.names,
        boundaries=(first, second),
        existence=existence,
    )
