"""Curves from out-of-fold scores: measures by layer, with their bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.processes import parallel
from layeratlas.probes import Probed, training_of
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve, ReferenceKind, level_curve
from layeratlas.stats.design_effects import Effective, classes_factor, credit_factor, effective
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import Measure, chance, credit, measures_for
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.studies.hierarchy.controls.random_weights import with_random_weights
from layeratlas.studies.hierarchy.controls.tasks import control_task_reference
from layeratlas.studies.hierarchy.description_length import compression_curve
from layeratlas.studies.hierarchy.designs import designs_of
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.studies.hierarchy.probing import load_codes, load_probed
from layeratlas.studies.hierarchy.signals import with_signal


def all_curves(work: Workspace) -> list[Curve]:
    """Return the curves of levels (means over their tasks), followed by the curves of the tasks."""
    groups = groups_by_level(work)
    samplers = samplers_of(work, groups)
    curves = [*_probe_curves(work, samplers), *_code_curves(work, samplers)]
    return [*_level_curves(curves, groups), *curves]


def samplers_of(work: Workspace, groups: Mapping[str, Sequence[str]]) -> dict[str, Resampler]:
    """Return the bootstrap of each level's groups, which all its curves share."""
    return {
        level: Resampler(names, work.spec.probe.bootstrap, work.spec.seed + i)
        for i, (level, names) in enumerate(groups.items())
    }


def groups_by_level(work: Workspace) -> dict[str, list[str]]:
    """Return the group of every tested item by level; groups shared by tasks of a level are resampled together."""
    groups: dict[str, list[str]] = {}
    for data in (design.data for design in designs_of(work)):
        groups.setdefault(data.level, []).extend(item.group for item in data.items)
    return groups


def _probe_curves(work: Workspace, samplers: Mapping[str, Resampler]) -> Iterator[Curve]:
    probed = list(load_probed(work))
    jobs = ((work, sweep, samplers[sweep.design.data.level]) for sweep in probed)
    with work.progress.stage("analyse", len(probed)) as step:
        for curves in parallel(_curves_of, jobs, processes=False):
            yield from curves
            step.advance()


def _curves_of(work: Workspace, probed: Probed, sampler: Resampler) -> list[Curve]:
    return with_random_weights(work, probed, task_curves(probed, sampler), sampler)


def task_curves(probed: Probed, resampler: Resampler) -> list[Curve]:
    """Return a curve per stratum and measure of one probed component."""
    design, data = probed.design, probed.design.data
    weights = resampler.weights([item.group for item in data.items])
    times = training_of(probed.scores, design)
    curves = []
    for i, stratum in enumerate(design.strata):
        inside = design.rows_of(stratum)
        y, n_groups = design.y[inside], len(set(data.groups[inside]))
        right = credit(probed.scores[:, :, inside], y).mean(1) if design.classes else None
        for j, (name, measure) in enumerate(measures_for(data.kind, design.classes).items()):
            values = measure(probed.scores[:, :, inside], y, weights[:, inside]).mean(-1)
            estimate, draws, half_a, half_b = split_draws(values, resampler)
            curve = Curve(
                level=data.level,
                task=data.name,
                stratum=stratum,
                component=probed.component,
                method=probed.method,
                metric=name,
                estimate=estimate,
                draws=widened(estimate, draws, n_groups, times=times, most=1.0),
                half_a=half_a,
                half_b=half_b,
                shuffles=probed.shuffled[:, i, j].T,
                chance=chance(name, y),
                baseline=probed.baseline[name] if stratum == WHOLE else float("nan"),
                baseline_draws=_baseline_draws(probed, measure, weights, resampler)
                if stratum == WHOLE
                else np.zeros(0),
                n=int(inside.sum()),
                n_groups=n_groups,
                effective=_effective(name, y, data.groups[inside]),
                times=times * _fraction(name, right, y),
            )
            if stratum == WHOLE and probed.control_tasks.size:
                task = control_task_reference(probed, name, curve, weights[: 1 + resampler.bootstrap])
                curve = replace(curve, references={ReferenceKind.CONTROL_TASK: task})
            if stratum == WHOLE and j == 0:  # findings use the first measure
                curve = with_signal(curve, probed, weights, resampler, times)
            curves.append(curve)
    return curves


def _effective(metric: str, y: Floats, groups: Ints) -> Effective | None:
    """Return the effective numbers of texts and groups: in a balanced accuracy a rare class's texts weigh more."""
    if metric not in ("accuracy", "balanced_accuracy"):
        return None
    _, codes = np.unique(y, return_inverse=True)
    return effective(1 / np.bincount(codes)[codes] if metric == "balanced_accuracy" else np.ones(len(y)), groups)


def _fraction(metric: str, right: Floats | None, y: Floats) -> Floats | float:
    """Return the factor of a share's error that its texts' credit (P, n) asks for; 1 for other measures."""
    if right is None or metric not in ("accuracy", "balanced_accuracy"):
        return 1.0
    return credit_factor(right) * (classes_factor(right, y) if metric == "balanced_accuracy" else 1.0)


def _baseline_draws(probed: Probed, measure: Measure, weights: Floats, resampler: Resampler) -> Floats:
    """Return draws (B,) of the surface baseline over the same resampled groups as the curve; empty without scores."""
    if probed.baseline_scores is None:
        return np.zeros(0)
    rows = weights[: 1 + resampler.bootstrap]
    values = measure(probed.baseline_scores, probed.design.y, rows).mean(-1)
    values = np.where(np.isfinite(values), values, values[0])
    times, n_groups = training_of(probed.baseline_scores, probed.design), len(set(probed.design.data.groups))
    return widened(values[:1], values[1:, None], n_groups, times=times, most=1.0)[:, 0]


def _code_curves(work: Workspace, samplers: Mapping[str, Resampler]) -> Iterator[Curve]:
    """Yield the compression of every data set of classes, where description lengths were measured."""
    for coded in load_codes(work):
        yield compression_curve(coded, samplers[coded.design.data.level])


def _level_curves(curves: Sequence[Curve], groups: Mapping[str, Sequence[str]]) -> list[Curve]:
    """Return the mean over the tasks of each level, component, method and measure."""
    together: dict[tuple[str, str, str, str], list[Curve]] = {}
    for curve in curves:
        if curve.stratum == WHOLE:
            together.setdefault((curve.level, curve.component, curve.method, curve.metric), []).append(curve)
    return [level_curve(tasks, len(set(groups[tasks[0].level]))) for tasks in together.values()]
