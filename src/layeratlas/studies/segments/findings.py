"""The findings on boundaries: whether they exist, where they are, and whether layers are ordered.

`not supported` means that the opposite is shown. Inconclusive findings state the smallest detectable effect.
"""

from __future__ import annotations

from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import Effect, Verdict, could_have_seen, decide
from layeratlas.studies.segments.names import BOUNDARIES, EXACT, PASSAGES, SegmentFinding
from layeratlas.studies.segments.record import ExistenceRecord, SegmentsRecord, SharpnessRecord
from layeratlas.studies.segments.sharpness import LEAST_SHARE

SURROGATE_NULL = (
    "at most half of the change across a boundary in one step between blocks (t-test); smooth change (cubic trend) "
    "with autocorrelated noise in every signal; the same with one boundary; the largest p"
)
# The widest 90 % interval, as a fraction of depth, with which a boundary counts as located.
_WIDEST = 0.15
# The fewest passages with which the bootstrap can locate a boundary.
FEWEST_PASSAGES = 8


def boundary_findings(record: SegmentsRecord) -> list[Finding]:
    """Return the findings on existence, the position of both boundaries, and the order of layers."""
    return [_existence(record), _boundary(record, 0), _boundary(record, 1), _layer_order(record)]


def boundary_finding(
    kind: SegmentFinding, statement: str, effect: Effect, *, null: str, verdict: Verdict, n: int
) -> Finding:
    """Return a finding on the boundaries of a run."""
    return curve_finding(
        kind,
        Subject(level=BOUNDARIES, component="resid", method=PASSAGES, n=n),
        statement=statement,
        effect=effect,
        null=null,
        verdict=verdict,
    )


def widths(record: SegmentsRecord) -> list[float]:
    """Return the width of the 90 % interval of each boundary of the exact method, as a fraction of depth."""
    return [(hi - lo) / record.blocks for lo, hi in record.exact.intervals]


def tested_verdict(test: ExistenceRecord) -> Verdict:
    """Return the verdict of the existence test on two boundaries.

    Supported if every test rejects; not supported if at least one of the two boundaries is shown to be smooth
    (p <= 0.05, Bonferroni over both); inconclusive otherwise.
    """
    return decide(shown=test.p <= ALPHA, refuted=smooth_p(test) <= ALPHA)


def smooth_p(test: ExistenceRecord) -> float:
    """Return the p-value for at least one of the two boundaries being smooth (Bonferroni over both)."""
    return min(1.0, 2 * min(sharp.smooth_p for sharp in test.sharpness))


def existence_verdict(record: SegmentsRecord) -> Verdict:
    """Return the verdict on two prominent boundaries (the claim P1.1).

    It is the verdict of the existence test, with two more conditions for `supported`: each 90 % interval spans at most
    0.15 of the depth, and there are at least eight passages. It always concerns the boundaries of the exact method,
    even if the run shows those of another one.
    """
    verdict = tested_verdict(record.existence)
    certain = max(widths(record)) <= _WIDEST and record.passages >= FEWEST_PASSAGES
    return decide(shown=verdict == "supported" and certain, refuted=verdict == "not supported")


def _existence(record: SegmentsRecord) -> Finding:
    test, verdict = record.existence, existence_verdict(record)
    sharp = " and ".join(sharp_words(boundary) for boundary in test.sharpness)
    return boundary_finding(
        SegmentFinding.EXISTENCE,
        f"{_result(record, verdict)}. Over {len(record.signals)} signals: {sharp}.",
        Effect(estimate=test.left, p=test.p),
        null=SURROGATE_NULL,
        verdict=verdict,
        n=record.passages,
    )


def _result(record: SegmentsRecord, verdict: Verdict) -> str:
    test = record.existence
    if verdict == "supported":
        return "Two sharp boundaries exist"
    if verdict == "not supported":
        smoothest = min(test.sharpness, key=lambda sharp: sharp.smooth_p)
        return f"Two boundaries are refuted: the change at block {smoothest.boundary} is smooth"
    if test.p > ALPHA:
        return f"Whether two boundaries exist is undecided: {boundaries_seen(test)}"
    if record.passages < FEWEST_PASSAGES:
        return (
            f"Two sharp changes, whose place is uncertain: {record.passages} passages were resampled; "
            f"{FEWEST_PASSAGES} or more can place boundaries"
        )
    return (
        f"Two sharp changes, whose place is uncertain: a 90 % interval spans {max(widths(record)):.2f} of the depth; "
        f"{_WIDEST:g} or less places a boundary"
    )


def sharp_words(sharp: SharpnessRecord) -> str:
    """Return the sharpness of a boundary in words, with the intervals over passages."""
    share, width = (f"[{lo:.2f}, {hi:.2f}]" for lo, hi in (sharp.share_interval, sharp.width_interval))
    return (
        f"at block {sharp.boundary} a share of {sharp.share:.2f} {share} of the change happens in one step between "
        f"blocks, and the change is {sharp.width:.2f} {width} layers wide"
    )


def boundaries_seen(test: ExistenceRecord) -> str:
    """Return in words the smallest effect detectable by the test with the largest p."""
    least = max(test.sharpness, key=lambda sharp: sharp.p)
    if least.p >= max(test.smooth_p, test.second_p):
        if least.seen > 1:
            times = (least.seen - LEAST_SHARE) / (1 - LEAST_SHARE)
            return could_have_seen(
                f"a step at block {least.boundary} with noise between blocks {times:.1f} times smaller"
            )
        return could_have_seen(
            f"a boundary at block {least.boundary} with a share of at least {least.seen:.2f} of its change in one step "
            "between blocks"
        )
    if test.smooth_p >= test.second_p:
        seen = could_have_seen(f"boundaries that leave {test.null_left[0]:.2f} or less")
        return f"two boundaries leave {test.left:.2f} of the variation, {seen}"
    seen = could_have_seen(f"one that leaves {test.null_second_left[0]:.2f} or less")
    return (
        f"beside one boundary, at block {test.first}, a second leaves {test.second_left:.2f} of the variation, {seen}"
    )


def _boundary(record: SegmentsRecord, number: int) -> Finding:
    blocks, boundary, (lo, hi) = record.blocks, record.boundaries[number], record.intervals[number]
    before, after = (record.segments[i].name for i in (number, number + 1))
    place = f"block {boundary}, at {boundary / blocks:.2f} of the depth (90 % interval: block {lo} to {hi})"
    depths = Effect(estimate=boundary / blocks, lo=lo / blocks, hi=hi / blocks, p=record.existence.p)
    if record.method != EXACT:  # the tests concern the boundaries of the exact method
        return boundary_finding(
            SegmentFinding.BOUNDARY,
            f"By this rule the {after} segment begins at {place}; the existence test is of the exact boundaries alone.",
            Effect(estimate=depths.estimate, lo=depths.lo, hi=depths.hi),
            null="none",
            verdict="inconclusive",
            n=record.passages,
        )
    verdict = existence_verdict(record)
    subject = {
        "supported": f"The boundary between the {before} and the {after} segment is",
        "not supported": f"The best place for a boundary between the {before} and the {after} segment, of which at "
        "least one is smooth change, is",
        "inconclusive": f"If it exists, the boundary between the {before} and the {after} segment is",
    }[verdict]
    sharp = record.existence.sharpness[number]
    lowest, highest = sharp.width_interval
    return boundary_finding(
        SegmentFinding.BOUNDARY,
        f"{subject} at {place}; the change there is {sharp.width:.2f} [{lowest:.2f}, {highest:.2f}] layers wide (1 for "
        "a step).",
        depths,
        null=SURROGATE_NULL,
        verdict=verdict,
        n=record.passages,
    )


def _layer_order(record: SegmentsRecord) -> Finding:
    """Do the signals depend on depth? Refuted if ordered layers fit three segments worse than 95 % of random orders."""
    test = record.existence
    low, _, high = test.shuffled_left
    verdict = decide(shown=test.shuffled_p <= ALPHA, refuted=test.left > high)
    statement = {
        "supported": "Neighbouring layers are more similar than layers in random order",
        "not supported": "Neighbouring layers are less similar than layers in random order",
        "inconclusive": "Whether neighbouring layers are more similar than layers in random order is undecided",
    }[verdict]
    return boundary_finding(
        SegmentFinding.LAYER_ORDER,
        f"{statement}: three segments leave {test.left:.2f} of the variation, and could have been distinguished from "
        f"random order at {low:.2f} or less.",
        Effect(estimate=test.left, p=test.shuffled_p),
        null="the same layers in random order",
        verdict=verdict,
        n=record.passages,
    )
