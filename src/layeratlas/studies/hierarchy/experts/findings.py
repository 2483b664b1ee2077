"""Whether the classes of a data set use different experts."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import ALPHA, MARGIN
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
    excess = part["distance"] - part["control"]
    top = part.row(int(excess.arg_max() or 0), named=True)
    effect = Effect(estimate=top["distance"] - top["control"], p=p)
    effect = replace(effect, lo=top["distance_lo"] - top["control"], hi=top["distance_hi"] - top["control"])
    highest = float((part["distance_hi"] - part["control"]).to_numpy().max())
    verdict = decide(shown=p <= ALPHA and effect.estimate > 0, refuted=highest < MARGIN)
    task = top["task"].replace("_", " ").capitalize()
    says = {
        "supported": f"The classes of {task} use different experts",
        "not supported": f"The classes of {task} use the same experts within {MARGIN:g} at every block",
        "inconclusive": f"No difference detected in the experts of the classes of {task} "
        f"({could_have_seen(f'{highest:.2f}')})",
    }[verdict]
    shown = estimate(top["distance"], top["distance_lo"], top["distance_hi"])
    return curve_finding(
        HierarchyFinding.EXPERTS,
        Subject(level=top["task"], component=_COMPONENT, method=_METHOD, n=top["n"]),
        statement=f"{says}: most at block {top['block']}, where {shown} of the use differs, {top['control']:.2f} with "
        f"shuffled labels; entropy of its router {top['entropy']:.2f} of the largest possible.",
        effect=effect,
        null="labels shuffled within folds; the largest distance over routers (Holm over data sets)",
        verdict=verdict,
    )
