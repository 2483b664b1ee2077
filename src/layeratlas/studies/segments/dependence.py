"""The findings on whether the boundaries depend on training, on single signals, or on the kind of text."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.core.formatting import counted
from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import Effect, could_have_seen, decide
from layeratlas.studies.segments.findings import (
    FEWEST_PASSAGES,
    SURROGATE_NULL,
    boundaries_seen,
    boundary_finding,
    boundary_findings,
    existence_verdict,
    smooth_p,
    tested_verdict,
)
from layeratlas.studies.segments.names import SegmentFinding, readable
from layeratlas.studies.segments.record import KindsRecord, SegmentsRecord, UntrainedRecord

# A boundary counts as moved if it moves by more than this fraction of depth.
_STEADY = 0.08


def segment_findings(record: SegmentsRecord) -> list[Finding]:
    """Return all findings of a run's `segments.json`."""
    findings = boundary_findings(record)
    if record.untrained:
        findings.append(_training(record, record.untrained))
    if record.leave_one_out:
        findings.append(_signal_left_out(record))
    if record.kinds:
        findings.append(_text_kinds(record, record.kinds))
    return findings


def _training(record: SegmentsRecord, control: UntrainedRecord) -> Finding:
    """Do the boundaries come from training? Supported if the model has two and random weights are shown smooth."""
    trained, untrained = existence_verdict(record), tested_verdict(control.existence)
    verdict = decide(shown=trained == "supported" and untrained == "not supported", refuted=untrained == "supported")
    # Of the tests that the verdict rests on: boundaries of the untrained model, or of this one and none there.
    p = control.existence.p
    if untrained != "supported":
        p = max(record.existence.p, smooth_p(control.existence))
    first, second = control.boundaries
    model = "random-weight model of the same architecture"
    shown = {
        "supported": f"A {model} has two boundaries too (at blocks {first} and {second}): boundaries alone are no sign "
        "of training",
        "not supported": f"At least one of the best two boundaries of a {model} (at blocks {first} and {second}) is "
        "smooth change",
        "inconclusive": f"Whether a {model} has two boundaries is undecided: {boundaries_seen(control.existence)}",
    }[untrained]
    own = {
        "supported": "this model has two",
        "not supported": "so it is in this model",
        "inconclusive": "whether this model has two is undecided",
    }[trained]
    return boundary_finding(
        SegmentFinding.TRAINING,
        f"{shown}; {own}." if untrained != "supported" else f"{shown}.",
        Effect(estimate=control.existence.left, p=p),
        null=f"{SURROGATE_NULL}; applied to the random-weight model",
        verdict=verdict,
        n=control.passages,
    )


def _signal_left_out(record: SegmentsRecord) -> Finding:
    allowed = max(1, round(_STEADY * record.blocks))
    shifts = {name: _shift(moved, record.exact.boundaries) for name, moved in record.leave_one_out.items()}
    # A move within the boundary's own interval is no evidence of a move.
    outside = [
        name
        for name, moved in record.leave_one_out.items()
        if shifts[name] > allowed and _leaves(moved, record.exact.intervals)
    ]
    worst = max(outside or shifts, key=lambda name: shifts[name])
    places = " and ".join(str(boundary) for boundary in record.leave_one_out[worst])
    verdict = decide(shown=shifts[worst] <= allowed, refuted=bool(outside))
    statement = {
        "supported": f"Each boundary stays in its place without any one signal: the largest shift is "
        f"{counted(shifts[worst], 'block')}.",
        "not supported": f"The boundaries depend on {readable(worst)}: without it they are at blocks {places}.",
        "inconclusive": f"Whether the boundaries depend on {readable(worst)} is undecided: without it they are at "
        f"blocks {places}, within their 90 % intervals.",
    }[verdict]
    return boundary_finding(
        SegmentFinding.SIGNAL_LEFT_OUT,
        statement,
        Effect(estimate=shifts[worst] / record.blocks),
        null=f"a shift of more than {counted(allowed, 'block')}, 0.08 of the depth (no test)",
        verdict=verdict,
        n=len(shifts),
    )


def _text_kinds(record: SegmentsRecord, kinds: KindsRecord) -> Finding:
    """Do boundaries differ between kinds? `not supported` needs equivalence: shifts of at most 0.08 of the depth."""
    first_kind, second_kind = kinds.compared
    first, second = (kinds.by_kind[name].boundaries for name in (first_kind, second_kind))
    allowed = max(1, round(_STEADY * record.blocks))
    farthest = max(abs(end) for shift in kinds.shifts for end in shift)
    enough = min(kinds.by_kind[name].n for name in (first_kind, second_kind)) >= FEWEST_PASSAGES
    verdict = decide(shown=kinds.p <= ALPHA, refuted=enough and farthest <= allowed)
    statement = {
        "supported": "The boundaries differ between kinds of text",
        "not supported": f"The boundaries are the same for both kinds of text within {counted(allowed, 'block')}",
        "inconclusive": "Whether the boundaries differ between kinds of text is undecided",
    }[verdict]
    return boundary_finding(
        SegmentFinding.TEXT_KINDS,
        f"{statement} ({first_kind}: blocks {first[0]} and {first[1]}; {second_kind}: blocks {second[0]} and "
        f"{second[1]}): "
        f"boundaries of the other kind leave {kinds.loss:.3f} more of the variation "
        f"({could_have_seen(f'more than {kinds.seen:.3f}')}); 90 % intervals of the shifts reach "
        f"{counted(farthest, 'block')}.",
        Effect(estimate=_shift(first, second) / record.blocks, p=kinds.p),
        null=f"kinds shuffled among passages; equivalence: shifts of at most {counted(allowed, 'block')}",
        verdict=verdict,
        n=record.passages,
    )


def _shift(boundaries: tuple[int, int], moved: tuple[int, int]) -> int:
    """Return the largest move of a boundary, in blocks."""
    return max(abs(a - b) for a, b in zip(boundaries, moved, strict=True))


def _leaves(moved: tuple[int, int], intervals: Sequence[tuple[int, int]]) -> bool:
    """Return whether any boundary moved out of its 90 % interval."""
    return any(not lo <= boundary <= hi for boundary, (lo, hi) in zip(moved, intervals, strict=True))
