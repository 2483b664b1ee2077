"""The findings on boundaries, each with its null: whether they exist, where they are, whether layers are ordered."""

from __future__ import annotations

from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.segments.names import BOUNDARIES, EXACT, PASSAGES, SegmentFinding
from layeratlas.studies.segments.record import ExistenceRecord, SegmentsRecord

SURROGATE_NULL = (
    "smooth change (cubic trend) with autocorrelated noise in every signal, clipped and unclipped, and the same with "
    "one boundary; the largest p"
)
# The widest 90 % interval of a boundary whose place is known, as a fraction of depth.
_WIDEST = 0.15
# With fewer passages the bootstrap cannot say where a boundary is.
_FEWEST_PASSAGES = 8


def boundary_findings(record: SegmentsRecord) -> list[Finding]:
    """Return the findings on existence, on both boundaries and on the order of layers."""
    return [_existence(record), _boundary(record, 0), _boundary(record, 1), _layer_order(record)]


def boundary_finding(
    kind: SegmentFinding, statement: str, effect: Effect, *, null: str, verdict: Verdict, n: int
) -> Finding:
    """Return a finding on the boundaries of a run."""
    return Finding(
        finding=kind,
        level=BOUNDARIES,
        component="resid",
        method=PASSAGES,
        statement=statement,
        estimate=effect.estimate,
        lo=effect.lo,
        hi=effect.hi,
        p=effect.p,
        null=null,
        verdict=verdict,
        n=n,
    )


def widths(record: SegmentsRecord) -> list[float]:
    """Return the width of each exact boundary's 90 % interval as a fraction of depth."""
    return [(hi - lo) / record.blocks for lo, hi in record.exact.intervals]


def existence_verdict(record: SegmentsRecord) -> Verdict:
    """Return the verdict on two prominent boundaries (the claim P1.1).

    Of the exact boundaries, whichever method the run shows: supported if they leave less cost than those of surrogates
    without boundaries and with one (p < 0.05) and each 90 % interval is at most 0.15 of the depth; not supported if
    p >= 0.05; inconclusive if they beat the surrogates and their place is uncertain, or if there are fewer than eight
    passages to resample.
    """
    if record.existence.p >= ALPHA:
        return "not supported"
    certain = max(widths(record)) <= _WIDEST and record.passages >= _FEWEST_PASSAGES
    return "supported" if certain else "inconclusive"


def _existence(record: SegmentsRecord) -> Finding:
    test, verdict = record.existence, existence_verdict(record)
    if verdict == "supported":
        result = "Two boundaries exist: three segments fit the signals better than they fit smooth signals"
    elif verdict == "not supported":
        result = _null_not_rejected(test, record.blocks)
    elif record.passages >= _FEWEST_PASSAGES:
        result = "The signals are more stepped than smooth signals, but the place of the boundaries is uncertain"
    else:
        result = (
            f"The signals are more stepped than smooth signals, but {record.passages} passages cannot say where the "
            "boundaries are"
        )
    lo, _, hi = test.null_left
    return boundary_finding(
        SegmentFinding.EXISTENCE,
        f"{result} ({len(record.signals)} signals); two boundaries leave {test.left:.2f} of the variation, "
        f"{lo:.2f} to {hi:.2f} in smooth signals.",
        Effect(estimate=test.left, p=test.p),
        null=SURROGATE_NULL,
        verdict=verdict,
        n=record.passages,
    )


def _null_not_rejected(test: ExistenceRecord, blocks: int) -> str:
    """Return which null the boundaries do not beat."""
    if test.smooth_p >= ALPHA:
        return "No evidence of two boundaries: three segments fit smooth signals without boundaries as well"
    if test.unclipped_p >= ALPHA:
        return (
            "No evidence of two boundaries: the signals change steeply there, and look stepped only because large "
            "values are clipped"
        )
    place = f"before block {test.first}, at {test.first / blocks:.2f} of the depth"
    return f"Evidence of one boundary ({place}), none of a second: three segments fit signals with one as well"


def _boundary(record: SegmentsRecord, number: int) -> Finding:
    blocks, boundary, (lo, hi) = record.blocks, record.boundaries[number], record.intervals[number]
    before, after = (record.segments[i].name for i in (number, number + 1))
    place = f"block {boundary}, at {boundary / blocks:.2f} of the depth (90 % interval: block {lo} to {hi})"
    depths = Effect(estimate=boundary / blocks, lo=lo / blocks, hi=hi / blocks, p=record.existence.p)
    if record.method != EXACT:  # the tests are of the exact boundaries, wherever those are
        return boundary_finding(
            SegmentFinding.BOUNDARY,
            f"By this rule the {after} segment begins at {place}; the existence test does not apply to this rule.",
            Effect(estimate=depths.estimate, lo=depths.lo, hi=depths.hi),
            null="none",
            verdict="inconclusive",
            n=record.passages,
        )
    verdict = existence_verdict(record)
    subject = "The" if verdict == "supported" else "If it exists, the"
    return boundary_finding(
        SegmentFinding.BOUNDARY,
        f"{subject} boundary between the {before} and the {after} segment is at {place}.",
        depths,
        null=SURROGATE_NULL,
        verdict=verdict,
        n=record.passages,
    )


def _layer_order(record: SegmentsRecord) -> Finding:
    test = record.existence
    ordered = test.shuffled_p < ALPHA
    return boundary_finding(
        SegmentFinding.LAYER_ORDER,
        "Neighbouring layers are more similar than layers in random order."
        if ordered
        else "Three segments fit layers in random order as well: no evidence that the signals are ordered over depth.",
        Effect(estimate=test.left, p=test.shuffled_p),
        null="the same layers in random order",
        verdict="supported" if ordered else "not supported",
        n=record.passages,
    )
