"""Families of simulated runs whose truth is known, as `compare` and the claims read them: whole folders, no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

import fake_models as fake
from fake_models import FakeModel
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding_table import finding_table
from layeratlas.stats.segmentation import shortest_segment
from layeratlas.studies.segments.boundaries import find_boundaries
from layeratlas.studies.segments.dependence import segment_findings
from layeratlas.studies.segments.names import EXACT
from layeratlas.studies.segments.record import SegmentsRecord, boundary_record, segments_between
from layeratlas.studies.segments.segmenting import tested_existence
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.signals import BlockSignals

SIGNALS = ("attention", "geometry", "information", "prediction")
PASSAGES, DRAWS, SURROGATES = 12, 100, 99
Cuts = tuple[float, float]


@dataclass(frozen=True)
class Segmented:
    """A model whose layers have steps at two fractions of depth, or (`cuts` None) none: a ramp, or noise alone.

    `brittleness` is that of the Local segment.
    """

    name: str
    family: str
    parameters: float
    layers: int
    cuts: Cuts | None = None
    ramp: bool = False
    brittleness: float = 1.0


def signals(model: Segmented, rng: np.random.Generator) -> np.ndarray:
    """Return signals (P, S, L): the truth, the model's own unevenness from layer to layer, and the passages' noise."""
    layers = model.layers
    if model.cuts:
        ends = [0, *(round(at * layers) for at in model.cuts), layers]
        steps = np.stack([rng.permutation([-1.0, 0.0, 1.0]) for _ in SIGNALS])
        truth = np.repeat(steps, np.diff(ends), axis=1)
    else:
        truth = np.tile(np.linspace(0, 1, layers) if model.ramp else np.zeros(layers), (len(SIGNALS), 1))
    # Noise alone may be as large as it likes; eight models of eight are called stepped only where steps are clear.
    spread = 0.05 if model.ramp else 0.08 if model.cuts else 0.25
    own = spread * rng.standard_normal(truth.shape)
    return truth + own + 0.2 * rng.standard_normal((PASSAGES, *truth.shape))


def segments_record(values: np.ndarray, layers: int, seed: int = 0) -> SegmentsRecord:
    """Return what the segments study keeps of signals (P, S, L)."""
    signal_names = list(SIGNALS)
    signals_of_blocks = BlockSignals(values=values, names=signal_names, groups=signal_names)
    estimate = find_boundaries(signals_of_blocks, DRAWS)
    settings = SegmentSettings(draws=DRAWS, surrogates=SURROGATES)
    exact = boundary_record(estimate)
    return SegmentsRecord(
        **exact.model_dump(),
        method=EXACT,
        blocks=layers,
        passages=PASSAGES,
        signals=dict(zip(SIGNALS, SIGNALS, strict=True)),
        shortest=shortest_segment(layers),
        mode=estimate.mode.tolist(),
        share=estimate.share.tolist(),
        segments=segments_between(exact.boundaries, layers),
        together=estimate.together.tolist(),
        existence=tested_existence(signals_of_blocks, settings, seed=seed),
        exact=exact,
    )


def write_segments(folder: Path, model: Segmented, rng: np.random.Generator) -> Path:
    """Write the run: its cuts and whether they exist are found as the study finds them."""
    b = model.brittleness
    base = FakeModel(
        model.name, fake.rise(0.8), model.layers, model.family, model.parameters, study="segments", levels=("item",),
        brittleness={"Local": b},
    )  # fmt: skip
    fake.write_model(folder, base)
    write_draws(folder, [], {"brittleness Local": b * 10 ** (0.02 * rng.standard_normal(400))})  # as the study does
    record = segments_record(signals(model, rng), model.layers)
    found = finding_table(segment_findings(record), model.name, "segments")
    whole = pl.concat([pl.read_parquet(folder / "findings.parquet"), found], how="vertical_relaxed")
    whole.write_parquet(folder / "findings.parquet")
    return folder


SIZES = (1e9, 3e9, 8e9, 7e10)
BLOCKS = {"llama": (16, 24, 28, 32), "qwen2": (18, 24, 28, 36)}
# A family's sizes are not those of the other, so that size and family go together a little, as they do in life.
FAMILIES = {"llama": SIZES, "qwen2": (5e8, 1.5e9, 7e9, 3.2e10)}
Planted = Callable[[str, int, np.random.Generator], Mapping[str, object]]


def segmented(folder: Path, planted: Planted, seed: int) -> list[Path]:
    """Write two families of four models; `planted(family, i, rng)` gives each one's truth."""
    rng = np.random.default_rng([seed, 71])
    folders = []
    for family, sizes in FAMILIES.items():
        for i, size in enumerate(sizes):
            model = Segmented(f"{family}-{i}", family, size, BLOCKS[family][i])
            model = replace(model, **planted(family, i, rng))  # type: ignore[arg-type]
            folders.append(write_segments(folder / model.name, model, rng))
    return folders


def answering(folder: Path, tops: Mapping[str, Sequence[float]], seed: int) -> list[Path]:
    """Write exits runs of one family, smallest model first, whose last exits reach `tops[level][i]`."""
    folders = []
    for i, size in enumerate(SIZES):
        own = {level: values[i] for level, values in tops.items()}
        model = FakeModel(
            f"m{i}", lambda level, depth, own=own: fake.rise(own[level])(level, depth), 20 + 4 * i, "llama", size,
            texts=seed, levels=tuple(own), study="exits", low=0.0,
        )  # fmt: skip
        folders.append(fake.write_model(folder / f"m{i}", model))
    return folders
