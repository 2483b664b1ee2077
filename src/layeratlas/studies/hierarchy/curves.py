"""Scores of probes to curves."""

from __future__ import annotations

from layeratlas.probes import Probed
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import chance, measures_for
from layeratlas.stats.resampling import Resampler, split_draws


def task_curves(probed: Probed, resampler: Resampler) -> list[Curve]:
    """Return a curve per stratum and measure of one probed component."""
    design, data, shuffled = probed.design, probed.design.data, probed.shuffled
    weights = resampler.weights([item.group for item in data.items])
    out = []
    for i, stratum in enumerate(design.strata):
        inside = design.rows_of(stratum)
        y, w = design.y[inside], weights[:, inside]
        for j, (name, measure) in enumerate(measures_for(data.kind, design.classes).items()):
            values = measure(probed.scores[:, :, inside], y, w).mean(-1)
            n_groups = len(set(data.groups[inside]))
            estimate, draws, a, b = split_draws(values, resampler)
            draws = widened(estimate, draws, n_groups, most=1.0)
            floor = probed.baseline[name] if stratum == "all" else float("nan")
            out.append(
                Curve(
                    data.level, data.name, stratum, probed.component, probed.method, name, estimate, draws, a, b,
                    shuffled[:, i, j].T, chance(name, y), floor, int(inside.sum()), n_groups,
                )
            )  # fmt: skip
    return out
