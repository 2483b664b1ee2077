"""The effect of model size on a level at the last exit, shared by the claims about thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import largest_family
from layeratlas.stats.scaling import Growth, Where, by_size, growth
from layeratlas.stats.verdicts import decide


def effect_of_size(runs: Sequence[FinishedRun], level: str) -> Growth | None:
    """Return the effect of model size on a level at the last exit; None if a run kept no such curve."""
    draws = [run.draws for run in runs if run.draws is not None]
    key = next((key for key in draws[0].keys if key.level == level and key.component == "resid"), None)
    curves = [] if key is None else [curve for kept in draws if (curve := kept.curve(key)) is not None]
    if key is None or len(curves) < len(runs):
        return None
    data = by_size(curves, [run.parameters for run in runs], key.component, Where.LAST)
    return None if data is None else growth(data)


def is_threshold(effect: Growth) -> bool:
    """Tell whether a value rises with size by a threshold."""
    return effect.shape == "threshold" and effect.rise > 0


def lacks_threshold(effect: Growth) -> bool:
    """Tell whether a value is shown to rise linearly, to stay constant, or to fall."""
    return effect.shape in ("linear", "flat") or (effect.verdict == "supported" and effect.rise < 0)


class ThresholdOfLevel(Claim):
    """The accuracy at the last exit must rise by a threshold in `level`; `task` is the task that asks it."""

    study = "exits"
    sizes = 3
    joins = True
    level = ""
    task = ""

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of the family with the most sizes."""
        return largest_family(runs)

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict for one family."""
        asked = f"layeratlas run exits with the task {self.task} on {self.sizes} sizes of a family or more"
        drawn = [run for run in runs if run.draws is not None]
        if len({run.parameters for run in drawn}) < self.sizes:
            return undecided(asked)
        effect = effect_of_size(drawn, self.level)
        if effect is None:
            return undecided(asked)
        verdict = decide(shown=is_threshold(effect), refuted=lacks_threshold(effect))
        return Judgement(
            verdict=verdict,
            statement=f"{self.level.capitalize()} at the last exit is {effect.shape} in size ({effect.verdict}, of "
            f"{effect.sizes} sizes of {drawn[0].family}); smallest to largest {effect.rise:+.2f} "
            f"[{effect.lo:+.2f}, {effect.hi:+.2f}]; models of one size are taken to differ by {effect.of_models:.3f} "
            f"(standard deviation).",
            estimate=effect.rise,
            lo=effect.lo,
            hi=effect.hi,
            p=effect.p,
            null="equal at every size; for the shape, data of a line in log parameters",
            n=effect.sizes,
            needs=asked if verdict == "inconclusive" else "",
        )
