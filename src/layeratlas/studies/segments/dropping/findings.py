"""The cost of dropping blocks in each order: the table of loss curves, and whether an order beats random orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import blocks_named
from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.group_means import GroupMeans, group_means
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.segments.dropping.orders import INFLUENCE, MEASURED, RANDOM
from layeratlas.studies.segments.dropping.stage import Dropped
from layeratlas.studies.segments.names import SegmentFinding

_BOOTSTRAP = 1000


def by_passage(dropped: Dropped, rule: str, outcome: str) -> Floats:
    """Return an outcome by passage and count (N, K), averaged over a rule's orders."""
    rows = dropped.table.filter(rule=rule).group_by("passage", "count").agg(pl.col(outcome).mean())
    wide = rows.sort("count").pivot("count", index="passage", values=outcome, maintain_order=True).sort("passage")
    values: Floats = wide.drop("passage").to_numpy().astype(np.float64)
    return values


def drop_table(dropped: Dropped, seed: int) -> pl.DataFrame:
    """Return one row per rule and count: the loss and the divergence with 95 % intervals over passages, and the blocks.

    The order by measured costs is computed twice, each time from the other half of the passages; the column of blocks
    shows one of the two orders.
    """
    rows: list[dict[str, Any]] = []
    for rule in dropped.table["rule"].unique(maintain_order=True):
        own = dropped.table.filter(rule=rule)
        counts = own["count"].unique().sort().to_list()
        curves = {outcome: _means(by_passage(dropped, rule, outcome), seed) for outcome in ("nll", "kl", "flips")}
        for i, count in enumerate(counts):
            row: dict[str, Any] = {"rule": rule, "count": count, "share": count / len(dropped.influence)}
            for outcome, means in curves.items():
                lo, hi = means.interval()
                row |= {
                    outcome: float(means.sample.estimate[i]),
                    f"{outcome}_lo": float(lo[i]),
                    f"{outcome}_hi": float(hi[i]),
                }
            blocks = own.filter(count=count)["blocks"][0].to_list() if rule != RANDOM else []
            rows.append(row | {"blocks": blocks, "n": own["passage"].n_unique()})
    return pl.DataFrame(rows, infer_schema_length=None)


def _means(values: Floats, seed: int) -> GroupMeans:
    """Return the means over passages of values (N, K)."""
    names = [str(i) for i in range(len(values))]
    return group_means(values, names, Resampler(names, _BOOTSTRAP, seed, halves=0))


def drop_findings(dropped: Dropped, seed: int) -> list[Finding]:
    """Return whether each order costs less than random orders (mean over the counts), and whether the rules differ."""
    losses = {
        rule: by_passage(dropped, rule, "nll").mean(1) for rule in dropped.table["rule"].unique(maintain_order=True)
    }
    rules = [rule for rule in (INFLUENCE, MEASURED) if rule in losses]
    passages = len(losses[RANDOM])
    gains = np.stack([losses[RANDOM] - losses[rule] for rule in rules], 1)
    findings = [
        _against_random(dropped, rule, effect, float(losses[rule].mean()), passages)
        for rule, effect in zip(rules, _means(gains, seed).effects(), strict=True)
    ]
    if MEASURED in rules:
        (effect,) = _means((losses[INFLUENCE] - losses[MEASURED])[:, None], seed).effects()
        findings.append(_measured_against_rule(effect, passages))
    return findings


def _against_random(dropped: Dropped, rule: str, effect: Effect, loss: float, n: int) -> Finding:
    verdict = effect.verdict()
    says = {
        "supported": "costs less than dropping random ones",
        "not supported": "costs more than dropping random ones",
        "inconclusive": f"has no detected difference from dropping random ones ({effect.could_have_seen} nats)",
    }[verdict]
    first = blocks_named(sorted(dropped.order[:3])) if rule == INFLUENCE else ""
    return _finding(
        rule,
        effect,
        f"Dropping blocks in the order of their {rule if rule == INFLUENCE else 'measured cost'} {says}: loss rises by "
        f"{loss:.2f} nats on average, {estimate(effect.estimate, effect.lo, effect.hi)} less."
        + (f" First: {first}." if first else ""),
        "random orders cost the same (exact sign flips of passages, Holm over rules)",
        n,
    )


def _measured_against_rule(effect: Effect, n: int) -> Finding:
    verdict = effect.verdict()
    says = {
        "supported": "costs less than in order of block influence",
        "not supported": "costs more than in order of block influence",
        "inconclusive": "has no detected difference from dropping them in order of block influence "
        f"({effect.could_have_seen} nats)",
    }[verdict]
    return _finding(
        f"{MEASURED} against rule",
        effect,
        f"Dropping blocks in the order of their measured cost {says}: "
        f"{estimate(effect.estimate, effect.lo, effect.hi)} nats less.",
        "both orders cost the same (exact sign flips of passages)",
        n,
    )


def _finding(level: str, effect: Effect, statement: str, null: str, n: int) -> Finding:
    return curve_finding(
        SegmentFinding.DROPPING,
        Subject(level=level, component="resid", method="skip", n=n),
        statement=statement,
        effect=effect,
        null=null,
        verdict=effect.verdict(),
    )
