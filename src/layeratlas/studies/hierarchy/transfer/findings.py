"""The table of transfers, and the findings on whether a probe of one data set works on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import MARGIN
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.names import RESIDUAL, HierarchyFinding
from layeratlas.studies.hierarchy.transfer.reading import Transfer


def transfer_table(transfers: Sequence[Transfer]) -> pl.DataFrame:
    """Return one row per ordered pair of data sets and layer."""
    rows = []
    for each in transfers:
        for layer, value in enumerate(each.value):
            effect = each.effect(layer)
            rows.append(
                {
                    "source": each.source,
                    "target": each.target,
                    "layer": layer,
                    "metric": each.metric,
                    "estimate": float(value),
                    "lo": effect.lo + each.chance,
                    "hi": effect.hi + each.chance,
                    "chance": each.chance,
                    "own": float(each.own[layer]),
                    "cosine": float(each.cosine[layer]),
                    "weight_cosine": float(each.weight_cosine[layer]),
                    "chosen": layer == each.layer,
                    "n": each.n,
                    "n_groups": each.n_groups,
                }
            )
    return pl.DataFrame(rows)


def transfer_findings(transfers: Sequence[Transfer], method: str) -> list[Finding]:
    """Return whether each probe decodes each other data set, at the layer where it decodes its own data set best.

    p comes from shuffling the target's labels within groups, with Holm's correction over the pairs. The verdict is
    `not supported` if the probe predicts the opposite, or too little to matter.
    """
    effects = [each.effect(each.layer) for each in transfers]
    ps = holm([effect.p for effect in effects])
    return [
        _finding(each, replace(effect, p=p), method) for each, effect, p in zip(transfers, effects, ps, strict=True)
    ]


def _finding(each: Transfer, effect: Effect, method: str) -> Finding:
    verdict = effect.verdict(margin=MARGIN)
    layer, own = each.layer, each.own[each.layer]
    says = {
        "supported": f"A probe fitted on {each.source} transfers to {each.target}",
        "not supported": f"A probe fitted on {each.source} does not transfer to {each.target}",
        "inconclusive": f"Whether a probe fitted on {each.source} transfers to {each.target} is undecided "
        f"({effect.could_have_seen})",
    }[verdict]
    measure = "AUROC" if each.metric == "auroc" else each.metric
    return curve_finding(
        HierarchyFinding.TRANSFER,
        Subject(level=f"{each.source} to {each.target}", component=RESIDUAL, method=method, n=each.n),
        statement=f"{says}: {measure} {each.value[layer]:.2f} [{effect.lo + each.chance:.2f}, "
        f"{effect.hi + each.chance:.2f}] at layer {layer}, {own:.2f} on its own texts; "
        f"cosine of the differences of class means {each.cosine[layer]:.2f}.",
        effect=effect,
        null="labels of the other data set exchanged within its groups (Holm over pairs)",
        verdict=verdict,
    )
