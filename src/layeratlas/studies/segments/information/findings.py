"""The information of deep layers on the input and on the next token, against shallow layers and random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import Effect, Verdict, bootstrapped, could_have_seen, holm_corrected
from layeratlas.studies.segments.information.stage import NEXT, PREDICTION, TARGETS, Informed, informations
from layeratlas.studies.segments.names import DECODING, SegmentFinding

_BOOTSTRAP = 1000


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Lower bounds in nats at P points for J targets: the estimate (P, J), its draws (B, P, J) and the control's."""

    estimate: Floats
    draws: Floats
    control: Floats

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % interval, lo and hi each (P, J)."""
        lo, hi = np.percentile(self.draws, [2.5, 97.5], axis=0)
        return lo, hi


def bounds_of(informed: Informed, seed: int) -> Bounds:
    """Return the bounds with draws over passages; models of one run share the draws."""
    names = [str(number) for number in range(int(informed.passages.max()) + 1)]
    weights = Resampler(names, _BOOTSTRAP, seed, halves=0).weights(names, halves=False)
    own, control = informations(informed, weights)
    # Resampled labels have lower entropy on average, so the draws are centred on the estimate.
    centred = own[1:] - own[1:].mean(0) + own[0]
    return Bounds(estimate=own[0], draws=widened(own[0], centred, len(names), times=1.0), control=control[0])


@dataclass(frozen=True, kw_only=True)
class _Contrast:
    """The mean bound for some targets in the last third of the layers minus that in the first third, times `sign`.

    `of` names the targets; the other texts describe a contrast above and below that of random weights.
    """

    kind: SegmentFinding
    level: str
    targets: Sequence[str]
    sign: int
    of: str
    above: str
    below: str


_CONTRASTS = (
    _Contrast(
        kind=SegmentFinding.BOTTLENECK,
        level="input",
        targets=("token 0 before",),
        sign=-1,
        of="the token itself",
        above="training adds to what layers lose of the token itself",
        below="trained layers keep more of the token itself than those with random weights",
    ),
    _Contrast(
        kind=SegmentFinding.BOTTLENECK,
        level="prediction",
        targets=(PREDICTION, NEXT),
        sign=1,
        of="the next token and the prediction",
        above="trained layers gain what predicts the next token",
        below="trained layers lose what predicts the next token",
    ),
    _Contrast(
        kind=SegmentFinding.REACH,
        level="far tokens",
        targets=("token 8 before", "token 16 before"),
        sign=1,
        of="the tokens 8 and 16 before",
        above="trained layers gain distant tokens with depth",
        below="trained layers lose distant tokens with depth",
    ),
)


def contrast(draws: Floats, targets: Sequence[str], sign: int) -> Floats:
    """Return the contrast (B,) of bounds (B, P, J): the mean over outputs of the last third minus that of the first."""
    blocks = draws.shape[1] - 1
    third = max(1, blocks // 3)
    mean = draws[:, :, [TARGETS.index(target) for target in targets]].mean(2)
    difference: Floats = sign * (mean[:, -third:].mean(1) - mean[:, 1 : 1 + third].mean(1))
    return difference


def information_findings(trained: Bounds, random: Bounds | None, passages: int) -> list[Finding]:
    """Return the contrasts, minus those of random weights if these were measured; Holm over the three."""
    effects = [_effect(each, trained, random, passages) for each in _CONTRASTS]
    return [
        _finding(each, effect, trained, random, passages)
        for each, effect in zip(_CONTRASTS, holm_corrected(effects), strict=True)
    ]


def _effect(each: _Contrast, trained: Bounds, random: Bounds | None, passages: int) -> Effect:
    value, draws = (contrast(rows, each.targets, each.sign) for rows in (trained.estimate[None], trained.draws))
    if random is not None:
        value = value - contrast(random.estimate[None], each.targets, each.sign)
        draws = draws - contrast(random.draws, each.targets, each.sign)
    return bootstrapped(float(value[0]), draws, passages)


def _finding(each: _Contrast, effect: Effect, trained: Bounds, random: Bounds | None, passages: int) -> Finding:
    best, least = _best(each, trained)
    verdict: Verdict = "inconclusive"
    if random is None:
        # The untrained architecture could have the same contrast.
        said = f"Undecided without random weights whether {each.above} ({effect.could_have_seen} nats)"
    elif least <= 0:
        seen = could_have_seen(f"{best - least:.2f}")
        said = f"Undecided whether {each.above}: at most {best:.2f} nats are decoded ({seen} nats)"
    else:
        verdict = effect.verdict()
        said = {
            "supported": _capital(each.above),
            "not supported": _capital(each.below),
            "inconclusive": f"Undecided whether {each.above} ({effect.could_have_seen} nats)",
        }[verdict]
    where = f"Decoded of {each.of}, from the first third of the layers to the last"
    changes = [f"{_change(each, trained):+.2f} nats"]
    changes += [] if random is None else [f"{_change(each, random):+.2f} with random weights"]
    return curve_finding(
        each.kind,
        Subject(level=each.level, component="resid", method=DECODING, n=passages),
        statement=f"{said}. {where}: {', '.join(changes)}; difference "
        f"{estimate(effect.estimate, effect.lo, effect.hi)}.",
        effect=effect,
        null="the same change as with random weights (bootstrap over passages, Holm over three contrasts)",
        verdict=verdict,
    )


def _best(each: _Contrast, bounds: Bounds) -> tuple[float, float]:
    """Return the largest bound of a contrast's targets over the layers, and the lower end of its interval."""
    targets = [TARGETS.index(target) for target in each.targets]
    values, lower = bounds.estimate[:, targets].mean(1), bounds.interval[0][:, targets].mean(1)
    layer = int(values.argmax())
    return float(values[layer]), float(lower[layer])


def _change(each: _Contrast, bounds: Bounds) -> float:
    """Return the change of the mean bound from the first to the last third, in nats."""
    return float(contrast(bounds.estimate[None], each.targets, 1)[0])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def information_table(trained: Bounds, random: Bounds | None, passages: int) -> pl.DataFrame:
    """Return one row per point and target: the bound in nats with its interval, the control and random weights."""
    lo, hi = trained.interval
    rows = [
        {
            "layer": point,
            "depth": point / (len(trained.estimate) - 1),
            "target": target,
            "nats": trained.estimate[point, j],
            "lo": lo[point, j],
            "hi": hi[point, j],
            "control": trained.control[point, j],
            "random_weights": float("nan") if random is None else random.estimate[point, j],
            "n": passages,
        }
        for j, target in enumerate(TARGETS)
        for point in range(len(trained.estimate))
    ]
    return pl.DataFrame(rows)
