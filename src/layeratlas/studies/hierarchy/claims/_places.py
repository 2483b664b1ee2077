"""Compares the peak of a level with the layers published in a paper; shared by several claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.curves import depths
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.peaks import drawn_depth
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.names import RESIDUAL, HierarchyFinding


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The layers `first` to `last` of `of` at which a paper reports a peak.

    The paper does not say whether layers are counted from 0 or from 1, or whether a layer means its input or its
    output, so one more layer on either side is accepted.
    """

    first: int
    last: int
    of: int

    @property
    def least(self) -> float:
        """The smallest relative depth that agrees."""
        return (self.first - 1) / self.of

    @property
    def most(self) -> float:
        """The largest relative depth that agrees."""
        return (self.last + 1) / self.of

    @property
    def words(self) -> str:
        """The layers and their relative depths, in words."""
        named = f"{self.first}-{self.last}" if self.last > self.first else f"{self.first}"
        return f"{named} of {self.of}, depth {self.least:.2f} to {self.most:.2f}"


def kept_curve(run: FinishedRun, level: str) -> LevelDraws | None:
    """Return the kept curve of a level in the residual stream; None if the run kept none."""
    kept = run.draws
    key = next((key for key in kept.keys if (key.level, key.component) == (level, RESIDUAL)), None) if kept else None
    return kept.curve(key) if kept and key else None


def peaks_within(run: FinishedRun, published: Mapping[str, Layers]) -> list[Finding]:
    """Return, for each level that decodes, whether its peak lies within the published layers.

    The interval is that of the peak over resampled groups. If the run kept its draws, p is the larger share of draws
    beyond either end (two one-sided tests).
    """
    peaks = {finding.level: finding for finding in run.of_kind(HierarchyFinding.PEAK)}
    findings = []
    for level, layers in published.items():
        if level in peaks and peaks[level].verdict == "supported":
            curve = kept_curve(run, level)
            drawn = None if curve is None else drawn_depth(curve.draws, depths(curve.draws.shape[1], RESIDUAL), level)
            findings.append(placed(peaks[level], layers, drawn))
    return findings


def placed(finding: Finding, layers: Layers, drawn: Floats | None) -> Finding:
    """Return whether the depth of a finding lies within the published layers; `drawn` (B,) are its draws, if kept."""
    p = float("nan") if drawn is None else outside(drawn, layers)
    effect = Effect(estimate=finding.estimate, lo=finding.lo, hi=finding.hi, p=p)
    verdict = effect.within(layers.least, layers.most)
    says = {
        "supported": "inside the published layers",
        "not supported": "outside the published layers",
        "inconclusive": "not shown to be inside or outside the published layers",
    }[verdict]
    span = f"{finding.estimate:.2f} [{finding.lo:.2f}, {finding.hi:.2f}]"
    return replace(
        finding,
        statement=f"The peak of {finding.level} is at depth {span}, {says} ({layers.words}).",
        p=p,
        null="the peak lies outside the published layers",
        verdict=verdict,
    )


def outside(drawn: Floats, layers: Layers) -> float:
    """Return the p-value of a depth beyond either end of the published layers: the larger of two one-sided shares."""
    beyond = max(int((drawn < layers.least).sum()), int((drawn > layers.most).sum()))
    return (1 + beyond) / (1 + len(drawn))
