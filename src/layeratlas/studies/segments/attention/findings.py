"""Do attention distance and entropy differ between kinds of text, such as languages?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.formatting import estimate, num
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.kind_curves import CurveDifference, largest_difference
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, Verdict, could_have_seen, decide
from layeratlas.studies.segments.findings import FEWEST_PASSAGES
from layeratlas.studies.segments.names import PASSAGES, SegmentFinding, readable

SIGNALS = ("attention_distance", "attention_entropy")
# A difference of less than this, as a share of uniform attention, counts as none.
MARGIN = 0.05
_SHUFFLES = 999
_NULL = (
    "no difference at any layer between any two kinds: kinds shuffled among passages, and random signs of residuals "
    f"(largest |t|, the larger p; Holm over two signals); equivalence: all differences within {MARGIN:g}"
)


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """The passages of a run by kind.

    `names` of the kinds; `codes` (P,) and `groups` (P,), numbers; `characters` per token, by kind; `languages`: whether
    kinds are languages.
    """

    names: tuple[str, ...]
    codes: Ints
    groups: Ints
    characters: Mapping[str, float]
    languages: bool

    @classmethod
    def of(
        cls, kinds: Sequence[str], groups: Sequence[str], characters: Mapping[str, float], *, languages: bool
    ) -> Kinds | None:
        """Return the passages by kind; None for a single kind, or if some kind has a single group."""
        names, codes = np.unique(np.array(kinds), return_inverse=True)
        numbers = np.unique(np.array(groups), return_inverse=True)[1]
        if len(names) < 2 or _groups_of(codes, numbers).min() < 2:
            return None
        return cls(
            names=tuple(map(str, names)), codes=codes, groups=numbers, characters=characters, languages=languages
        )

    @property
    def called(self) -> str:
        """What kinds are called in statements."""
        return "languages" if self.languages else "kinds of text"


def _groups_of(kinds: Ints, groups: Ints) -> Ints:
    """Return how many groups each kind has: passages of one group are one unit of the test."""
    pairs = np.unique(np.stack([kinds, groups], 1), axis=0)
    return np.bincount(pairs[:, 0])


def attention_findings(measured: Mapping[str, Floats], kinds: Kinds, seed: int) -> list[Finding]:
    """Return a finding per signal of attention that was measured, (P, L) each; p is corrected over them (Holm)."""
    found = {
        name: largest_difference(measured[name], kinds.codes, kinds.groups, shuffles=_SHUFFLES, seed=seed)
        for name in SIGNALS
        if name in measured
    }
    ps = holm([difference.p for difference in found.values()])
    return [
        _finding(name, replace(difference, p=p), measured[name], kinds)
        for (name, difference), p in zip(found.items(), ps, strict=True)
    ]


def _finding(name: str, found: CurveDifference, values: Floats, kinds: Kinds) -> Finding:
    enough = _groups_of(kinds.codes, kinds.groups).min() >= FEWEST_PASSAGES
    verdict = decide(shown=found.p <= ALPHA, refuted=bool(enough) and found.farthest <= MARGIN)
    effect = Effect(estimate=found.estimate, lo=found.lo, hi=found.hi, p=found.p)
    return curve_finding(
        SegmentFinding.ATTENTION_KINDS,
        Subject(level=readable(name), component="attn", method=PASSAGES, n=len(values)),
        statement=f"{_said(readable(name), found, kinds, verdict)}. {_where(found, values, kinds)}. {_caution(kinds)}",
        effect=effect,
        null=_NULL,
        verdict=verdict,
    )


def _said(signal: str, found: CurveDifference, kinds: Kinds, verdict: Verdict) -> str:
    if verdict == "supported":
        return f"{signal.capitalize()} differs between {kinds.called}"
    if verdict == "not supported":
        return f"{signal.capitalize()} is the same in all {kinds.called} within {MARGIN:g} of uniform at every layer"
    seen = could_have_seen(f"a difference of {num(found.seen, 3)} of uniform")
    return f"Whether {signal} differs between {kinds.called} is undecided ({seen})"


def _where(found: CurveDifference, values: Floats, kinds: Kinds) -> str:
    first, second = (
        f"{num(mean, 3)} ({kinds.names[code]})"
        for mean, code in zip(found.means, (found.first, found.second), strict=True)
    )
    layers, pairs = values.shape[1], len(kinds.names) * (len(kinds.names) - 1) // 2
    at_once = f"{layers} blocks" + (f" and {pairs} pairs" if pairs > 1 else "")
    difference = estimate(found.estimate, found.lo, found.hi, 3)
    return f"Largest at block {found.layer}: {first} and {second}, a difference of {difference} over {at_once} at once"


def _caution(kinds: Kinds) -> str:
    """Return what the measure leaves open: all passages have as many tokens, but not as many words."""
    if not kinds.characters:
        return "Distances are in tokens."
    sizes = sorted(kinds.characters.items(), key=lambda item: item[1])
    (least, low), (most, high) = sizes[0], sizes[-1]
    return (
        f"Distances are in tokens, of which all passages have as many; a token is {num(low, 1)} characters of {least} "
        f"and {num(high, 1)} of {most}, so that part of a difference can come from the tokenizer."
    )
