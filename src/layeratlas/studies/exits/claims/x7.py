"""X7: model size helps reasoning only past a threshold, and hardly helps calculation and facts."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import largest_family
from layeratlas.stats.scaling import HARDLY, Growth
from layeratlas.stats.verdicts import Verdict, decide
from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.claims._sizes import effect_of_size, is_threshold, lacks_threshold

_REASONING = "reasoning"
_HARDLY = ("calculation", "arithmetic", "facts")
_ASKED = "layeratlas run exits with the tasks word_problems and facts on three sizes of a family or more"


class ThresholdClaim(Claim):
    """Reasoning at the last exit must rise by a threshold; calculation and facts must each rise by less than 0.05."""

    name = "X7"
    summary = "size helps reasoning only past a threshold, calculation and facts hardly"
    citation = CHEN
    published = "best-layer MPS-Rea 52.1, 52.0, 51.9 % (7B, 13B, 70B); LAMA 57.9, 58.0, 58.7 %; no interval"
    study = "exits"
    sizes = 3
    joins = True

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of the family with the most sizes."""
        return largest_family(runs)

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict for one family, at the last exit."""
        drawn = [run for run in runs if run.draws is not None]
        if len({run.parameters for run in drawn}) < self.sizes:
            return undecided(_ASKED)
        effects = {level: effect for level in (_REASONING, *_HARDLY) if (effect := effect_of_size(drawn, level))}
        others = [effect for level, effect in effects.items() if level in _HARDLY]
        if _REASONING not in effects or not others:
            return undecided(_ASKED)
        reasoning = effects[_REASONING]
        verdict = _verdict(reasoning, others)
        each = "; ".join(
            f"{level} {effect.rise:+.2f} [{effect.lo:+.2f}, {effect.hi:+.2f}]" for level, effect in effects.items()
        )
        return Judgement(
            verdict=verdict,
            statement=f"Reasoning at the last exit is {reasoning.shape} in size ({reasoning.verdict}, of "
            f"{reasoning.sizes} sizes of {drawn[0].family}); smallest to largest: {each}; models of one size are taken "
            f"to differ by {reasoning.of_models:.3f} (standard deviation).",
            estimate=reasoning.rise,
            lo=reasoning.lo,
            hi=reasoning.hi,
            p=reasoning.p,
            null="equal at every size; for the shape, data of a line in log parameters",
            n=reasoning.sizes,
            needs=_ASKED if verdict == "inconclusive" else "",
        )


def _verdict(reasoning: Growth, others: Sequence[Growth]) -> Verdict:
    return decide(
        shown=is_threshold(reasoning) and all(effect.hi < HARDLY for effect in others),
        refuted=lacks_threshold(reasoning) or any(effect.lo > HARDLY for effect in others),
    )


PLUGIN = ThresholdClaim()
