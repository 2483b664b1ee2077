"""The noise of training in a run with one repeat, from a second repeat at a few layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import planting
import small_runs
from layeratlas.core import registry
from layeratlas.core.progress import Progress
from layeratlas.core.spec import RunSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design, make_folds, ratio_of, twice_split
from layeratlas.runs.pipeline import make_material
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.emergence import measure_emergence
from layeratlas.stats.signal_to_noise import assumed_noise, training_noise
from layeratlas.store.shards import load_shard, write_shard
from layeratlas.studies.hierarchy import cells
from layeratlas.studies.hierarchy.probing import load_probed
from layeratlas.studies.hierarchy.second_repeat import SECOND, SECOND_LAYERS, chosen_layers
from layeratlas.validation.unequal import DEEPER, EASY, HARD, curve_of, order_of, simulated_level, simulated_scores

ONE = planting.LIGHT.model_copy(update={"shuffles": 20, "repeats": 1})


@pytest.mark.parametrize("points", [1, 3, 5, 6, 13, 31, 81])
def test_the_layers_are_spread_over_the_depth_up_to_the_deepest(points):
    layers = chosen_layers(points)
    assert layers == sorted(set(layers))
    assert len(layers) == min(points, 5)
    assert layers[-1] == points - 1
    assert sum(layer >= (points - 1) / 2 for layer in layers) >= len(layers) / 2
    assert max(np.diff([0, *layers])) <= -(-points // len(layers))


def test_the_second_repeat_is_that_of_the_same_seed():
    data = planting.planted_data(80, per_group=2)
    design = twice_split(make_design(data, ONE, 3), 3)
    assert design is not None
    for fold, whole in zip(design.folds, make_folds(data, 5, 2, 3), strict=True):
        assert fold.repeat == whole.repeat
        assert fold.test.tolist() == whole.test.tolist()
        assert fold.train.tolist() == whole.train.tolist()


def test_there_is_none_where_the_design_has_repeats_or_its_groups_allow_no_other_folds():
    data = planting.planted_data(80)
    assert twice_split(make_design(data, planting.LIGHT, 0), 0) is None
    few = Dataset("few", "item", tuple(Item(f"text {i}", f"class {i % 2}", f"group {i // 10}") for i in range(60)))
    assert twice_split(make_design(few, ONE, 0), 0) is None


@pytest.mark.parametrize("level", [EASY, HARD])
def test_noise_from_a_few_layers_is_that_of_two_whole_repeats(level):
    """The assumed one is not: the control."""
    few, whole = (simulated_scores(level, 200, repeats) for repeats in (1, 2))
    assert few.scores.shape[1] == 1
    weights = np.ones((1, level.texts))
    noise = training_noise(*ratio_of(whole.scores, whole.design, weights))[0, 0]
    assert few.twice is not None
    assert training_noise(*ratio_of(few.twice.scores, few.twice.design, weights))[0, 0] == pytest.approx(noise, rel=0.3)
    z, nu = ratio_of(few.scores, few.design, weights)
    assert nu is None
    assert abs(np.log(assumed_noise(z[0], 0.5) / noise)) > np.log(1.5)


def test_depths_are_those_of_two_repeats_with_nothing_assumed():
    one, two = (simulated_scores(HARD, 200, repeats) for repeats in (1, 2))
    few, whole, assumed = (
        measure_emergence(curve_of(probed, HARD, 200)) for probed in (one, two, replace(one, twice=None))
    )
    assert few.moved == whole.moved == 0 < assumed.moved
    assert few.estimate == pytest.approx(whole.estimate, abs=0.02)
    assert few.interval[0] < HARD.depth < few.interval[1]
    assert np.ptp(few.interval) < np.ptp(assumed.interval)


def test_with_one_repeat_levels_that_rise_alike_have_no_order_and_a_deeper_one_is_found():
    """By accuracies they seem to have one: the control."""
    easy, hard, deeper = (simulated_level(level, 200, repeats=1) for level in (EASY, HARD, DEEPER))
    assert order_of(easy, hard).verdict == "inconclusive"
    assert order_of(easy, deeper).verdict == "supported"
    assert order_of(*(replace(curve, signal=None) for curve in (easy, hard))).verdict == "supported"


def probed_run(folder: Path, spec: RunSpec) -> tuple[Workspace, Path]:
    study = registry.get("studies", "hierarchy")
    settings = study.settings(**spec.settings)
    spec = study.prepare(spec, settings)
    work = Workspace(folder, spec, make_material(study, spec), Progress(), settings)
    study.stages()["capture"](work)
    (scores,) = cells.probe_stage(work)
    return work, work.folder / scores


def test_a_run_keeps_the_scores_of_the_second_repeat_and_reads_folders_without_them(tmp_path, monkeypatch):
    model = small_runs.model_folder(tmp_path, "llama", layers=6)
    spec, twice = (
        small_runs.spec_of("hierarchy", tmp_path, model, components=("resid",)).model_copy(update={"probe": probe})
        for probe in (ONE, planting.LIGHT)
    )
    work, file = probed_run(tmp_path / "one", spec)
    tensors, notes = load_shard(file, work.key)
    layers = chosen_layers(7)
    assert tensors[SECOND_LAYERS].tolist() == layers

    two, of_two = probed_run(tmp_path / "two", twice)
    whole, _ = load_shard(of_two, two.key)
    assert SECOND not in whole
    assert next(load_probed(two)).twice is None
    assert tensors[SECOND] == pytest.approx(whole["ridge.scores"][layers, 1:], abs=1e-9)
    assert np.abs(tensors[SECOND] - whole["ridge.scores"][layers, :1]).max() > 1e-3  # control: not the first one

    [probed] = load_probed(work)
    assert probed.twice is not None
    assert probed.twice.scores == pytest.approx(whole["ridge.scores"][layers], abs=1e-9)
    older = {name: tensor for name, tensor in tensors.items() if not name.startswith("second")}
    write_shard(file, work.key, older, notes)
    assert next(load_probed(work)).twice is None

    monkeypatch.setattr(cells, "cell_layers", lambda *_: 1)
    each, of_cells = probed_run(tmp_path / "cells", spec)
    joined, _ = load_shard(of_cells, each.key)
    assert joined[SECOND_LAYERS].tolist() == layers
    assert joined[SECOND] == pytest.approx(tensors[SECOND], abs=1e-9)
