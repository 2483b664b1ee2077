"""At which exit a model answers: better than the baselines? from what depth on? is the last exit the best?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.peaks import onset
from layeratlas.stats.tests import holm, two_sided
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.exits.choices import ExitCurve

_Z95 = 1.959964
# A gain whose interval ends below this is none that matters.
SMALL = 0.02


@dataclass(frozen=True)
class Answered:
    """Whether a level is answered at some exit better than by its baselines, and from what depth on.

    `gain` is over the floor, its exit chosen on one half of the groups and read on the other, with p corrected over
    the levels (Holm). `onset` is the depth at which the gain first passes half of its largest value; `onsets` (B,) its
    bootstrap.
    """

    curve: ExitCurve
    layer: int
    gain: float
    lo: float
    hi: float
    p: float
    onset: float
    onsets: Floats

    @property
    def verdict(self) -> Verdict:
        """Whether the level is answered."""
        if self.lo > 0 and self.p <= 0.05:
            return "supported"
        return "not supported" if self.hi < SMALL else "inconclusive"

    @property
    def onset_interval(self) -> tuple[float, float]:
        """The 95 % interval of the onset, as fractions of depth."""
        lo, hi = np.percentile(self.onsets, [2.5, 97.5])
        return float(lo), float(hi)


def answered(curves: Sequence[ExitCurve]) -> list[Answered]:
    """Judge the level curves of one score and measure together."""
    found = []
    for curve in curves:
        gain, spread = _chosen_gain(curve)
        p = two_sided_z(gain, spread, len(curve.draws))
        found.append((curve, gain, spread, p))
    out = []
    for (curve, gain, spread, _), p in zip(found, holm([one[-1] for one in found]), strict=True):
        over = curve.estimate - curve.floor
        onsets = onset(curve.gains, curve.depth)
        lo, hi = gain - _Z95 * spread, gain + _Z95 * spread
        whole = float(onset(over[None], curve.depth)[0])
        out.append(Answered(curve, int(over.argmax()), gain, lo, hi, p, whole, onsets))
    return out


def _chosen_gain(curve: ExitCurve) -> tuple[float, float]:
    """Return the gain over the floor at an exit chosen on the other half of the groups, and its standard error.

    Each half has its own floor: an exit whose floor is low by luck would be chosen, and credited with that luck.
    """
    gains = []
    over = [
        half - curve.over(bare) for half, bare in ((curve.half_a, curve.control_a), (curve.half_b, curve.control_b))
    ]
    for chosen_on, read_on in (over, over[::-1]):
        at = chosen_on.argmax(1)
        gains.append(np.take_along_axis(read_on, at[:, None], 1).mean())
    spread = float(curve.gains[:, (curve.estimate - curve.floor).argmax()].std())
    # Draws that are all alike (everything right) know nothing of rarer errors.
    return float(np.mean(gains)), max(spread, 1 / max(curve.n_groups, 1))


def exit_findings(found: Sequence[Answered], says: str) -> list[Finding]:
    """Return whether each level is answered, and from what depth on; `says` names the readout."""
    out = []
    for one in found:
        out.append(_best(one, says))
        if one.verdict == "supported":
            out.append(_onset(one))
    return out


def _best(one: Answered, says: str) -> Finding:
    curve, last = one.curve, len(one.curve.depth) - 1
    against = (
        f"{curve.baseline:.2f} for the best of fewest tokens, fewest bytes and commonest answer, "
        f"{curve.shuffles.mean(0)[one.layer]:.2f} for the choice without the question, chance {curve.chance:.2f}"
    )
    size = f"accuracy {curve.estimate[one.layer]:.2f} against {against}; {signed(one.gain)} {span(one.lo, one.hi)}"
    if curve.evident:
        size += " over chance and the rules of thumb (a choice shows without its question whether it is true)"
    most = f"the most is gained at exit {one.layer} of 0-{last}, with {size}"
    text = {
        "supported": f"{_name(curve)}: answered, the most over its baselines at exit {one.layer} of 0-{last}, depth "
        f"{curve.depth[one.layer]:.2f}: {size} on questions that did not choose the exit{says}.",
        "not supported": f"{_name(curve)}: answered at no exit better than by its baselines; {most}{says}.",
        "inconclusive": f"{_name(curve)}: not shown to be answered better than by its baselines; {most}{says}.",
    }[one.verdict]
    rest = " and the rules of thumb" if curve.evident else ", the rules of thumb and the choice without the question"
    null = f"the best exit equals the best of chance{rest}"
    return finding("exit", curve, text, (one.gain, one.lo, one.hi, one.p), null, one.verdict)


def _onset(one: Answered) -> Finding:
    lo, hi = one.onset_interval
    floor = "chance and the rules of thumb" if one.curve.evident else "the best baseline"
    text = (
        f"{_name(one.curve)}: half of the rise above {floor} is passed at depth {one.onset:.2f} [{lo:.2f}, {hi:.2f}]."
    )
    return finding("onset", one.curve, text, (one.onset, lo, hi, one.p), "no exit beats the baselines", "supported")


def last_findings(found: Sequence[Answered], says: str) -> list[Finding]:
    """Return, for each level, the last exit against the last but one (paired, Holm) and against the best other one.

    The best other exit is chosen on one half of the groups and read on the other.
    """
    curves = [one.curve for one in found]
    steps = [_paired(c.estimate[-1] - c.estimate[-2], c.draws[:, -1] - c.draws[:, -2], c.n_groups) for c in curves]
    bests = [_against_best(c) for c in curves]
    out = []
    for name, parts in (("the last but one", steps), ("the best other exit", bests)):
        for curve, part, p in zip(curves, parts, holm([part[3] for part in parts]), strict=True):
            estimate, lo, hi, _ = part
            verdict: Verdict = "inconclusive"
            if p <= 0.05 and (lo > 0 or hi < 0):
                verdict = "supported" if lo > 0 else "not supported"
            sure = {"supported": "answers better than", "not supported": "answers worse than"}
            link = sure.get(verdict, "is not shown to differ from")
            text = f"{_name(curve)}: the last exit {link} {name}, {signed(estimate)} {span(lo, hi)} in accuracy{says}."
            kind = "last exit" if name == "the last but one" else "last against best"
            out.append(finding(kind, curve, text, (estimate, lo, hi, p), f"the last exit equals {name}", verdict))
    return out


def _paired(estimate: float, draws: Floats, groups: int) -> tuple[float, float, float, float]:
    lo, hi = (float(end) for end in np.percentile(draws, [2.5, 97.5]))
    if hi - lo < 1e-12:  # no question changed sides: rarer ones may
        lo, hi = lo - 3 / groups, hi + 3 / groups
    return float(estimate), lo, hi, two_sided(draws)


def _against_best(curve: ExitCurve) -> tuple[float, float, float, float]:
    gaps = []
    for chosen_on, read_on in ((curve.half_a, curve.half_b), (curve.half_b, curve.half_a)):
        at = chosen_on[:, :-1].argmax(1)
        gaps.append((read_on[:, -1] - np.take_along_axis(read_on, at[:, None], 1)[:, 0]).mean())
    gap = float(np.mean(gaps))
    spread = float((curve.draws[:, -1] - curve.draws[:, curve.estimate[:-1].argmax()]).std())
    spread = max(spread, 1 / max(curve.n_groups, 1))
    return gap, gap - _Z95 * spread, gap + _Z95 * spread, two_sided_z(gap, spread, len(curve.draws))


def two_sided_z(estimate: float, spread: float, draws: int) -> float:
    """Return the two-sided p-value of an estimate with that standard error, no smaller than the draws allow."""
    return float(min(1.0, max(1 / draws, 2 * scipy.stats.norm.sf(abs(estimate) / max(spread, 1e-12)))))


def finding(
    kind: str, curve: ExitCurve, text: str, numbers: tuple[float, float, float, float], null: str, verdict: Verdict
) -> Finding:
    """Return a finding about a curve; `numbers` are estimate, lo, hi and p."""
    return Finding(kind, curve.level, curve.component, curve.method, text, *numbers, null, verdict, curve.n)


def signed(value: float) -> str:
    """Return a number with its sign; what is nothing has a plus."""
    return f"{round(value, 2) + 0.0:+.2f}"


def span(lo: float, hi: float) -> str:
    """Return an interval in brackets."""
    return f"[{signed(lo)}, {signed(hi)}]"


def _name(curve: ExitCurve) -> str:
    return curve.level[:1].upper() + curve.level[1:]
