"""Changes over training: when each level is learned, whether its depth moves, and whether answers follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from layeratlas.comparison.cohort import Cohort
from layeratlas.comparison.kinds import ComparisonKind
from layeratlas.comparison.models import Model, is_paired, unpaired
from layeratlas.core import formatting as wording
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.runs.quantity import Place
from layeratlas.stats.contrasts import MARGINS, adjusted, verdict_of
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.training import Emerged, OverTraining, doublings_between, drift, emerged
from layeratlas.stats.verdicts import Effect, Verdict, could_have_seen, decide, holm_corrected, least_seen

SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "series": pl.String,
    "level": pl.String,
    "quantity": pl.String,
    "step": pl.Int64,
    "model": pl.String,
    "value": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
}
# The quantities followed over training: a value that shows whether a level is encoded, and depths.
VALUE = "peak value"
DEPTHS = ("onset depth", "peak depth")
_NO_CHANGE = "no change from the first checkpoint to the last (paired over groups; largest of all levels and series)"
_NO_DRIFT = "a depth that stays (paired over groups; largest of all levels, series and quantities)"


@dataclass(frozen=True, kw_only=True)
class Course:
    """A quantity of one level over the checkpoints of one training in which it was measured."""

    series: str
    place: Place
    words: str
    models: Sequence[Model]
    data: OverTraining

    @property
    def subject(self) -> Subject:
        """The subject of this course's findings; n is the number of checkpoints."""
        place = self.place
        return Subject(level=place.level, component=place.component, method=place.method, n=len(self.data.steps))

    def over(self, steps: Collection[int]) -> Course:
        """Return the course at some of its steps."""
        models = [model for step, model in zip(self.data.steps, self.models, strict=True) if step in steps]
        return replace(self, models=models, data=self.data.at(steps))

    @property
    def steps(self) -> tuple[int, int]:
        """The first and the last step."""
        return self.data.steps[0], self.data.steps[-1]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One study's results over training: findings, courses as rows, and the values that are learned, by series."""

    findings: Sequence[Finding]
    table: pl.DataFrame
    learned: Mapping[str, Sequence[Course]]


def over_training(cohort: Cohort, models: Sequence[Model]) -> Trained:
    """Return the changes of the residual stream's levels over training, for each series of two or more checkpoints."""
    courses = [
        course
        for series, members in cohort.series.items()
        for course in _courses(series, [model for model in models if model.name in members], cohort)
    ]
    values = [course for course in courses if course.place.quantity == VALUE]
    learned = _learned(values)
    findings = list(learned)
    risen: dict[str, list[Course]] = {}
    for course, finding in zip(values, learned, strict=True):
        if finding.verdict == "supported":
            risen.setdefault(course.series, []).append(course)
            findings.append(_step_finding(course, emerged(course.data), finding))
    findings += _drifts([course for course in courses if course.place.quantity in DEPTHS])
    table = pl.DataFrame([row for course in courses for row in _rows(cohort.study, course)], schema=SCHEMA)
    return Trained(findings=findings, table=table, learned=risen)


def _courses(series: str, models: Sequence[Model], cohort: Cohort) -> list[Course]:
    """Return the courses of a series, earliest checkpoint first."""
    courses = []
    for place in dict.fromkeys(place for model in models for place in model.of_curves):
        held = [model for model in models if place in model.quantities]
        if place.component != "resid" or place.quantity not in (VALUE, *DEPTHS) or len(held) < 2:
            continue
        if place.quantity == VALUE and len(held) < len(models):
            continue
        paired = is_paired(place, *held)
        values = [model.value(place) if paired else unpaired(model, place) for model in held]
        steps = [model.run.checkpoint.step for model in held if model.run.checkpoint]
        words = cohort.level_words.get(place.level, place.level)
        data = OverTraining(steps=steps, values=values)
        courses.append(Course(series=series, place=place, words=words, models=held, data=data))
    order = {level: i for i, level in enumerate(cohort.level_words)}
    kinds = (VALUE, *DEPTHS)
    return sorted(
        courses,
        key=lambda course: (kinds.index(course.place.quantity), order.get(course.place.level, len(order))),
    )


def _learned(courses: Sequence[Course]) -> list[Finding]:
    """Return whether each level's value rises; p is corrected over all levels and series."""
    changes = [course.data.change for course in courses]
    found = []
    for course, change, p in zip(courses, changes, adjusted(changes), strict=True):
        lo, hi = change.interval
        falls = hi < 0 and p <= ALPHA
        verdict = decide(shown=lo > 0 and p <= ALPHA, refuted=falls or max(-lo, hi) <= MARGINS["value"])
        first, last = (wording.num(value.estimate, 2) for value in (course.data.values[0], course.data.values[-1]))
        says = {
            "supported": "rises",
            "not supported": "falls" if falls else f"stays within {MARGINS['value']:g}",
            "inconclusive": f"has no detected change ({could_have_seen(f'{least_seen(change.spread):.2f}')})",
        }[verdict]
        statement = (
            f"The value of {course.words} at its peak {says} over the training of {course.series}: {first} at step "
            f"{course.steps[0]:,}, {last} at step {course.steps[1]:,} ({change.estimate:+.2f} [{lo:+.2f}, {hi:+.2f}])."
        )
        effect = Effect(estimate=change.estimate, lo=lo, hi=hi, p=p)
        found.append(_finding(ComparisonKind.LEARNED, course, effect, verdict, statement))
    return found


def _finding(kind: ComparisonKind, course: Course, effect: Effect, verdict: Verdict, statement: str) -> Finding:
    null = _NO_CHANGE if kind is ComparisonKind.LEARNED else _NO_DRIFT
    return curve_finding(kind, course.subject, statement=statement, effect=effect, null=null, verdict=verdict)


def _step_finding(course: Course, when: Emerged, learned: Finding) -> Finding:
    """Return the step at which a learned level emerges; undecided if the interval covers all checkpoints."""
    step, (first, last) = when.step, course.steps
    within = step.lo > first or step.hi < last
    ends = "" if within else "; the checkpoints do not tell when"
    return curve_finding(
        ComparisonKind.STEP,
        course.subject,
        statement=f"Emergence of {course.words} in the training of {course.series}: step "
        f"{step.estimate:,.0f} [{step.lo:,.0f}, {step.hi:,.0f}] of {first:,} to {last:,} (mean over 10 % to 90 % of "
        f"the rise, in doublings){ends}.",
        effect=Effect(estimate=step.estimate, lo=step.lo, hi=step.hi, p=learned.p),
        null=learned.null,
        verdict=decide(shown=within, refuted=False),
    )


def _drifts(courses: Sequence[Course]) -> list[Finding]:
    """Return whether depths move; p is corrected over all levels, series and quantities."""
    moves = [drift(course.data) for course in courses]
    found = []
    for course, move, p in zip(courses, moves, adjusted(moves), strict=True):
        # A line through few or uncertain checkpoints may be steeper than the depth of the model is long.
        estimate, lo, hi = (min(max(end, -1.0), 1.0) for end in (move.estimate, *move.interval))
        verdict = verdict_of(move, p)
        says = {
            "supported": "moves deeper" if move.estimate > 0 else "moves towards the first layer",
            "not supported": f"stays within {MARGINS['depth']:g}",
            "inconclusive": f"has no detected movement ({could_have_seen(f'{min(least_seen(move.spread), 1.0):.2f}')})",
        }[verdict]
        statement = (
            f"The {course.place.quantity} of {course.words} {says} over the training of {course.series}: "
            f"{estimate:+.2f} of the depth [{lo:+.2f}, {hi:+.2f}] from step {course.steps[0]:,} to "
            f"{course.steps[1]:,} ({len(course.data.steps)} checkpoints that have the level)."
        )
        effect = Effect(estimate=estimate, lo=lo, hi=hi, p=p)
        found.append(_finding(ComparisonKind.DRIFT, course, effect, verdict, statement))
    return found


def follow_findings(levels: Trained, answers: Trained) -> list[Finding]:
    """Return whether answers emerge later in training than levels, for each series in which some of both are learned.

    `levels` are from probes (hierarchy), `answers` from early exits; their texts differ. Both are followed over the
    checkpoints that both have, since a rise is measured from the first of them. p is corrected over the series (Holm).
    """
    followed = []
    for series in levels.learned.keys() & answers.learned.keys():
        sides = [trained.learned[series] for trained in (levels, answers)]
        shared = set.intersection(*(set(course.data.steps) for side in sides for course in side))
        if len(shared) < 2:
            continue
        sides = [[course.over(shared) for course in side] for side in sides]
        sides = [[course for course in side if course.data.change.interval[0] > 0] for side in sides]
        if all(sides):
            earlier, later = ([emerged(course.data) for course in side] for side in sides)
            reach = sides[0][0].data.reach
            followed.append((series, doublings_between(earlier, later, reach), sides, reach))
    effects = holm_corrected([effect for _, effect, _, _ in followed])
    found = [
        _follow_finding(series, effect, sides, reach)
        for (series, _, sides, reach), effect in zip(followed, effects, strict=True)
    ]
    return sorted(found, key=lambda finding: finding.statement)


def _follow_finding(series: str, effect: Effect, sides: Sequence[Sequence[Course]], reach: float) -> Finding:
    verdict = effect.verdict()
    levels, answers = (", ".join(course.words for course in side) for side in sides)
    says = {
        "supported": "emerge after",
        "not supported": "emerge before",
        "inconclusive": "are not shown to emerge before or after",
    }[verdict]
    return curve_finding(
        ComparisonKind.FOLLOW,
        Subject(level="all", component="resid", method="all", n=1),
        statement=f"In the training of {series}, answers ({answers}) {says} what probes read ({levels}): "
        f"{effect.estimate:+.1f} doublings of the step [{effect.lo:+.1f}, {effect.hi:+.1f}], of {reach:.1f} between "
        "the first checkpoint and the last.",
        effect=effect,
        null="both emerge at the same step (bootstrap over groups; Holm over trainings)",
        verdict=verdict,
    )


def _rows(study: str, course: Course) -> list[dict[str, Any]]:
    rows = []
    for model, step, value in zip(course.models, course.data.steps, course.data.values, strict=True):
        lo, hi = value.interval
        if value.unit == "depth":
            lo, hi = max(lo, 0.0), min(hi, 1.0)
        about = {"study": study, "series": course.series, "level": course.place.level}
        rows.append(
            {**about, "quantity": course.place.quantity, "step": step, "model": model.name}
            | {"value": value.estimate, "lo": lo, "hi": hi}
        )
    return rows
