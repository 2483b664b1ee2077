"""The information of deep layers on the input and on the next token, against shallow layers and random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import capitalised, estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Effect, Verdict, bootstrapped, could_have_seen, decide, holm_corrected
from layeratlas.studies.segments.information.bounds import Bounds
from layeratlas.studies.segments.information.stage import NEXT, TARGETS
from layeratlas.studies.segments.names import DECODING, SegmentFinding

# A change of less than this, in nats, counts as none: about a thirtieth of the entropy of a token's classes.
_MARGIN = 0.05
_NULL = (
    "no change of the trained layers (for the opposite: a change of {margin:g} nats), or the same change as with "
    "random weights (bootstrap over passages; both must be rejected; Holm over three contrasts)"
)


@dataclass(frozen=True, kw_only=True)
class _Contrast:
    """The mean bound for some targets in the last third of the layers minus that in the first third, times `sign`.

    `of` names the targets, and `verb` the change that is claimed.
    """

    kind: SegmentFinding
    level: str
    targets: Sequence[str]
    sign: int
    verb: str
    of: str


# The model's own prediction is a function of the last state, so a gain of it is no finding.
_CONTRASTS = (
    _Contrast(
        kind=SegmentFinding.BOTTLENECK,
        level="input",
        targets=("token 0 before",),
        sign=-1,
        verb="lose",
        of="the token itself",
    ),
    _Contrast(
        kind=SegmentFinding.BOTTLENECK,
        level="next token",
        targets=(NEXT,),
        sign=1,
        verb="gain",
        of="the next token",
    ),
    _Contrast(
        kind=SegmentFinding.REACH,
        level="far tokens",
        targets=("token 8 before", "token 16 before"),
        sign=1,
        verb="gain",
        of="the tokens 8 and 16 before",
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Changes:
    """A contrast of the trained layers (`own`), of random weights, and their difference; positive is as claimed.

    p of the difference is that of two nulls which must both be rejected: no difference, and no change (or, against the
    claim, a change of `_MARGIN`) of the trained layers.
    """

    own: Effect
    random: Effect | None
    beyond: Effect

    @property
    def verdict(self) -> Verdict:
        """The claimed change beyond random weights; its opposite, or none, that also falls short of random weights.

        A claimed change that is smaller than with random weights is neither.
        """
        if self.random is None:
            return "inconclusive"  # the untrained architecture could have the same contrast
        clear = self.beyond.significant
        return decide(
            shown=clear and self.beyond.lo > 0 and self.own.lo > 0,
            refuted=clear and self.beyond.hi < 0 and self.own.hi < _MARGIN,
        )


def contrast(draws: Floats, targets: Sequence[str], sign: int) -> Floats:
    """Return the contrast (B,) of bounds (B, P, J): the mean over outputs of the last third minus that of the first."""
    blocks = draws.shape[1] - 1
    third = max(1, blocks // 3)
    mean = draws[:, :, [TARGETS.index(target) for target in targets]].mean(2)
    difference: Floats = sign * (mean[:, -third:].mean(1) - mean[:, 1 : 1 + third].mean(1))
    return difference


def information_findings(trained: Bounds, random: Bounds | None, passages: int) -> list[Finding]:
    """Return the contrasts, against those of random weights if these were measured; Holm over the three."""
    changes = [_changes(each, trained, random, passages) for each in _CONTRASTS]
    corrected = holm_corrected([change.beyond for change in changes])
    return [
        _finding(each, replace(change, beyond=beyond), trained.most(each.targets), passages)
        for each, change, beyond in zip(_CONTRASTS, changes, corrected, strict=True)
    ]


def _changes(each: _Contrast, trained: Bounds, random: Bounds | None, passages: int) -> _Changes:
    value, draws = _contrasts(each, trained)
    own = bootstrapped(value, draws, passages)
    if random is None:
        return _Changes(own=own, random=None, beyond=own)
    control, control_draws = _contrasts(each, random)
    beyond = bootstrapped(value - control, draws - control_draws, passages)
    side = draws if beyond.estimate > 0 else _MARGIN - draws
    # Twice the one-sided p: a change on the wrong side rejects nothing.
    p = two_sided(side) if np.median(side) > 0 else 1.0
    return _Changes(
        own=own,
        random=bootstrapped(control, control_draws, passages),
        beyond=replace(beyond, p=max(beyond.p, p)),
    )


def _contrasts(each: _Contrast, bounds: Bounds) -> tuple[float, Floats]:
    """Return a contrast's estimate and its draws (B,)."""
    value, draws = (contrast(rows, each.targets, each.sign) for rows in (bounds.estimate[None], bounds.draws))
    return float(value[0]), draws


def _finding(each: _Contrast, changes: _Changes, most: tuple[float, float], passages: int) -> Finding:
    decoded = most[1] > 0
    verdict: Verdict = changes.verdict if decoded else "inconclusive"
    said = _said(each, changes, verdict) if decoded else _unread(each, most)
    shown = [f"{_shown(each, changes.own)} nats"]
    shown += [] if changes.random is None else [f"{_shown(each, changes.random)} with random weights"]
    return curve_finding(
        each.kind,
        Subject(level=each.level, component="resid", method=DECODING, n=passages),
        statement=f"{capitalised(said)}. Decoded of {each.of}, from the first third of the layers to the last: "
        f"{', '.join(shown)}.",
        effect=changes.beyond,
        null=_NULL.format(margin=_MARGIN),
        verdict=verdict,
    )


def _said(each: _Contrast, changes: _Changes, verdict: Verdict) -> str:
    what, seen = _claimed(each), changes.beyond.could_have_seen
    if verdict == "supported":
        return f"trained layers {what}, and more than random weights do"
    if verdict == "not supported":
        return f"trained layers do not {what} by {_MARGIN:g} nats or more, and fall short of random weights"
    if changes.random is None:
        return f"undecided without random weights whether trained layers {what} beyond them ({seen} nats)"
    if changes.own.lo > 0 and changes.beyond.hi < 0:
        return f"undecided: trained layers {what}, but less than random weights do ({seen} nats)"
    return f"undecided whether trained layers {what} beyond random weights ({seen} nats)"


def _claimed(each: _Contrast) -> str:
    return f"{each.verb} information on {each.of}"


def _unread(each: _Contrast, most: tuple[float, float]) -> str:
    value, lo = most
    seen = could_have_seen(f"{value - lo:.2f}")
    return f"undecided whether trained layers {_claimed(each)}: at most {value:.2f} nats are decoded ({seen} nats)"


def _shown(each: _Contrast, change: Effect) -> str:
    """Return a change in nats with its interval; a loss is negative."""
    lo, hi = sorted((each.sign * change.lo, each.sign * change.hi))
    return estimate(each.sign * change.estimate, lo, hi)
