"""X7: size helps reasoning only past a threshold, calculation and facts hardly."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import largest_family
from layeratlas.stats.scaling import Growth, by_size, growth
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.exits.citation import CHEN

_REASONING = ("reasoning",)
_HARDLY = ("calculation", "arithmetic", "facts")
_SMALL = 0.05


class Threshold(Claim):
    """Reasoning at the last exit must rise by a threshold, and calculation and facts by less than 0.05 in all."""

    name = "X7"
    summary = "size helps reasoning only past a threshold, calculation and facts hardly"
    citation = CHEN
    published = "best-layer MPS-Rea 52.1, 52.0, 51.9 % (7B, 13B, 70B); LAMA 57.9, 58.0, 58.7 %; no interval"
    study = "exits"
    sizes = 3
    joins = True

    def chosen(self, runs: Sequence[RunTables]) -> Sequence[RunTables]:
        """Return the runs of the family with the most sizes."""
        return largest_family(runs)

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict for one family, at the last exit."""
        ask = "layeratlas run exits with the tasks word_problems and facts on three sizes of a family or more"
        mine = [run for run in runs if run.draws is not None]
        if len({run.parameters for run in mine}) < self.sizes:
            return undecided(ask)
        found = {level: one for level in (*_REASONING, *_HARDLY) if (one := _grown(mine, level))}
        first = next((found[level] for level in _REASONING if level in found), None)
        others = {level: one for level, one in found.items() if level in _HARDLY}
        if first is None or not others:
            return undecided(ask)
        verdict = _verdict(first, list(others.values()))
        each = "; ".join(f"{level} {one.rise:+.2f} [{one.lo:+.2f}, {one.hi:+.2f}]" for level, one in found.items())
        text = (
            f"Reasoning at the last exit is {first.shape} in size ({first.verdict}, of {len(mine)} sizes of "
            f"{mine[0].family}); smallest to largest: {each}."
        )
        null = "equal at every size; for the shape, data of a line in log parameters"
        needs = ask if verdict == "inconclusive" else ""
        return Judgement(verdict, text, first.rise, first.lo, first.hi, first.p, null, len(mine), needs)


def _grown(runs: Sequence[RunTables], level: str) -> Growth | None:
    drawn = [run.draws for run in runs if run.draws is not None]
    key = next((k for k in drawn[0].keys if k.level == level and k.component == "resid"), None)
    curves = [] if key is None else [curve for one in drawn if (curve := one.curve(key)) is not None]
    if key is None or len(curves) < len(runs):
        return None
    data = by_size(curves, [run.parameters for run in runs], key.component, "last")
    return None if data is None else growth(data)


def _verdict(reasoning: Growth, others: Sequence[Growth]) -> Verdict:
    hardly = [one.hi < _SMALL for one in others]
    much = [one.lo > _SMALL for one in others]
    steps = reasoning.shape == "threshold" and reasoning.rise > 0
    if steps and all(hardly):
        return "supported"
    against = reasoning.shape in ("linear", "flat") or (reasoning.verdict == "supported" and reasoning.rise < 0)
    return "not supported" if against or any(much) else "inconclusive"


PLUGIN = Threshold()
