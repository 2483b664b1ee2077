"""P-stable: boundaries keep their relative depth over at least a tenfold range of model size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import by_family
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, Verdict, all_hold, decide
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.names import SegmentFinding

_FEWEST, _TIMES = 4, 10.0
# How far a boundary may move over the whole range. Within a model, two boundaries within this distance count as equal
# (`one signal left out`).
_MARGIN = 0.08
_ASKED = f"layeratlas run segments on {_FEWEST} sizes of a family, the largest {_TIMES:g} times the smallest or more"


class StableOverSizesClaim(Claim):
    """Neither boundary may move by more than 0.08 of the depth from the smallest to the largest size.

    The move is that of a regression line on log parameters with models as units, so its interval includes differences
    between models other than size, and rounding to whole blocks. Among the families with a tenfold range of sizes, the
    one with the most sizes is judged.
    """

    name = "P-stable"
    summary = "boundaries keep their relative place over ten times in size"
    citation = ZHANG
    published = "coefficient of variation 0.067-0.095 over a tenfold range of Llama; no interval"
    study = "segments"
    sizes = _FEWEST
    joins = True

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of the family with the most sizes, among those with a tenfold range of sizes."""
        wide = [members for members in by_family(runs).values() if _spans(members)]
        return max(wide, key=lambda members: len({run.parameters for run in members}), default=[])

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict on both boundaries, over the models in which two are found."""
        placed = [(run, found) for run in runs if len(found := _boundaries(run)) == 2]
        members = [run for run, _ in placed]
        if len({run.parameters for run in members}) < _FEWEST or not _spans(members):
            return undecided(_ASKED)
        log_size = np.log10([run.parameters for run in members])
        moves = [_move(log_size, np.array([found[at].estimate for _, found in placed])) for at in (0, 1)]
        verdicts = [_verdict(move, p) for move, p in zip(moves, holm([move.p for move in moves]), strict=True)]
        verdict = all_hold(verdicts)
        each = " and ".join(f"{move.estimate:+.2f} [{move.lo:+.2f}, {move.hi:+.2f}]" for move in moves)
        weakest = max(moves, key=lambda move: max(abs(move.lo), abs(move.hi)))
        times = 10 ** float(log_size.max() - log_size.min())
        return Judgement(
            verdict=verdict,
            statement=f"Over {times:.3g} times in size of {members[0].family} ({len(set(log_size))} sizes) the two "
            f"boundaries move by {each} of the depth.",
            estimate=weakest.estimate,
            lo=weakest.lo,
            hi=weakest.hi,
            p=float("nan") if verdict == "supported" else weakest.p,
            null=f"a boundary moves by more than {_MARGIN:g} of the depth; none, for a move",
            n=len(set(log_size)),
            needs=_ASKED if verdict == "inconclusive" else "",
        )


def _spans(runs: Sequence[FinishedRun]) -> bool:
    sizes = [run.parameters for run in runs]
    return bool(sizes) and max(sizes) >= _TIMES * min(sizes)


def _boundaries(run: FinishedRun) -> list[Finding]:
    """Return the boundaries of a model in which two are found."""
    return [finding for finding in run.of_kind(SegmentFinding.BOUNDARY) if finding.verdict == "supported"]


def _move(log_size: Floats, places: Floats) -> Effect:
    """Return the move over the whole range of sizes of a least-squares line, with Student's interval over models."""
    span, free = float(log_size.max() - log_size.min()), len(places) - 2
    fit = scipy.stats.linregress(log_size, places)
    # Equal positions leave no residual; assume that a position is known to one block in a hundred at best.
    error = max(float(fit.stderr) * span, 0.01 / np.sqrt(12))
    reach = float(scipy.stats.t(free).isf(ALPHA / 2)) * error
    move = float(fit.slope) * span
    p = 2 * float(scipy.stats.t(free).sf(abs(move) / error))
    return Effect(estimate=move, lo=move - reach, hi=move + reach, p=min(1.0, p))


def _verdict(move: Effect, p: float) -> Verdict:
    """Return whether a boundary is stable; `not supported` if it moves (corrected p) by more than the margin."""
    return decide(shown=move.lo >= -_MARGIN and move.hi <= _MARGIN, refuted=p <= ALPHA and abs(move.estimate) > _MARGIN)


PLUGIN = StableOverSizesClaim()
