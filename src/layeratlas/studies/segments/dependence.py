"""The findings on what the boundaries depend on: training, single signals, kinds of text."""

from __future__ import annotations

from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.segments.findings import SURROGATE_NULL, boundary_finding, boundary_findings, existence_verdict
from layeratlas.studies.segments.names import SegmentFinding, readable
from layeratlas.studies.segments.record import KindsRecord, SegmentsRecord, UntrainedRecord

# A boundary that moves by no more than this fraction of depth has not moved.
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
    trained, exist = existence_verdict(record), control.p < ALPHA
    verdict: Verdict = "not supported" if exist else "supported" if trained == "supported" else "inconclusive"
    places = " and ".join(str(boundary) for boundary in control.boundaries)
    model = "random-weight model of the same architecture"
    if exist and trained == "not supported":
        statement = f"A {model} has two boundaries (at blocks {places}); the trained model shows no evidence of any."
    elif exist:
        statement = f"A {model} has two boundaries too (at blocks {places}): boundaries alone are no sign of training."
    elif trained == "not supported":
        statement = f"No evidence of two boundaries in the model or in a {model}."
    else:
        statement = f"No evidence of two boundaries in a {model}."
    return boundary_finding(
        SegmentFinding.TRAINING,
        statement,
        Effect(estimate=control.left, p=control.p),
        null=f"{SURROGATE_NULL}; applied to the random-weight model",
        verdict=verdict,
        n=control.passages,
    )


def _signal_left_out(record: SegmentsRecord) -> Finding:
    allowed = max(1, round(_STEADY * record.blocks))
    shifts = {name: _shift(moved, record.exact.boundaries) for name, moved in record.leave_one_out.items()}
    worst = max(shifts, key=lambda name: shifts[name])
    steady = shifts[worst] <= allowed
    places = " and ".join(str(boundary) for boundary in record.leave_one_out[worst])
    return boundary_finding(
        SegmentFinding.SIGNAL_LEFT_OUT,
        f"The boundaries depend on no single signal: without any one they move by at most {_blocks(shifts[worst])}."
        if steady
        else f"The boundaries depend on {readable(worst)}: without it they are at blocks {places}.",
        Effect(estimate=shifts[worst] / record.blocks),
        null=f"a shift of more than {_blocks(allowed)}, 0.08 of the depth (no test)",
        verdict="supported" if steady else "not supported",
        n=len(shifts),
    )


def _text_kinds(record: SegmentsRecord, kinds: KindsRecord) -> Finding:
    one, two = kinds.compared
    first, second = (kinds.by_kind[name].boundaries for name in (one, two))
    differ = kinds.p < ALPHA
    places = f"{one}: blocks {first[0]} and {first[1]}; {two}: blocks {second[0]} and {second[1]}"
    return boundary_finding(
        SegmentFinding.TEXT_KINDS,
        f"{'The boundaries differ' if differ else 'No difference of boundaries detected'} between kinds of text "
        f"({places}).",
        Effect(estimate=_shift(first, second) / record.blocks, p=kinds.p),
        null="kinds shuffled among passages",
        verdict="supported" if differ else "not supported",
        n=record.passages,
    )


def _shift(one: tuple[int, int], two: tuple[int, int]) -> int:
    """Return how far the boundary that moves most is from where it was, in blocks."""
    return max(abs(a - b) for a, b in zip(one, two, strict=True))


def _blocks(count: int) -> str:
    return f"{count} block{'s' * (count != 1)}"
