"""Whether the classes of a data set use different experts."""

from __future__ import annotations

import polars as pl

from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import MARGIN
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, could_have_seen, decide
from layeratlas.studies.hierarchy.names import HierarchyFinding

_COMPONENT, _METHOD = "mlp", "router"


def expert_findings(table: pl.DataFrame) -> list[Finding]:
    """Return one finding per data set of classes: the block at which its classes differ most in their experts.

    p tests the largest distance over all routers, each in standard deviations of its shuffles; Holm over data sets.
    """
    sets = table.filter(pl.col("distance").is_not_null()).partition_by("task", maintain_order=True)
    ps = holm([part["p"][0] for part in sets])
    return [_finding(part, p) for part, p in zip(sets, ps, strict=True)]


def _finding(part: pl.DataFrame, p: float) -> Finding:
    first = part.row(0, named=True)
    top = part.row(by_predicate=pl.col("block") == first["best_block"], named=True)
    effect = Effect(estimate=first["best"], lo=first["best_lo"], hi=first["best_hi"], p=p)
    highest = float((part["distance_hi"] - part["control"]).to_numpy().max())
    verdict = decide(shown=effect.verdict() == "supported", refuted=highest < MARGIN)
    task = top["task"].replace("_", " ").capitalize()
    says = {
        "supported": f"The classes of {task} use different experts",
        "not supported": f"The classes of {task} use the same experts within {MARGIN:g} at every block",
        "inconclusive": f"No difference detected in the experts of the classes of {task} "
        f"({could_have_seen(f'{highest:.2f}')})",
    }[verdict]
    where = "most" if verdict == "supported" else "the largest estimate is"
    return curve_finding(
        HierarchyFinding.EXPERTS,
        Subject(level=top["task"], component=_COMPONENT, method=_METHOD, n=top["n"]),
        statement=f"{says}: {where} at block {top['block']}, where {top['distance']:.2f} of the use differs, "
        f"{top['control']:.2f} with shuffled labels; difference, at the block chosen on other texts, "
        f"{estimate(effect.estimate, effect.lo, effect.hi)}; entropy of its router {top['entropy']:.2f} of the largest "
        "possible.",
        effect=effect,
        null="labels shuffled within folds; the largest distance over routers, in standard deviations of its shuffles "
        "(Holm over data sets)",
        verdict=verdict,
    )
