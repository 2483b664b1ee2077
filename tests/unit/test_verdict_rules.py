"""The rules that give verdicts, each with the case that supports, the one that refutes and the ones between."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
from scipy.stats import norm

from layeratlas.runs.claim import Judgement
from layeratlas.runs.judging import joined
from layeratlas.stats.verdicts import Effect, Verdict, all_hold, any_holds, decide, least_seen

YES: Verdict = "supported"
NO: Verdict = "not supported"
OPEN: Verdict = "inconclusive"


def effect(lo: float, hi: float, p: float = math.nan) -> Effect:
    return Effect(estimate=(lo + hi) / 2, lo=lo, hi=hi, p=p)


def test_a_claim_that_is_shown_is_supported_whatever_else_was_tested() -> None:
    assert [decide(shown=shown, refuted=refuted) for shown in (True, False) for refuted in (True, False)] == [
        YES,
        YES,
        NO,
        OPEN,
    ]


@pytest.mark.parametrize(
    ("parts", "all_of_them", "any_of_them"),
    [
        ([YES, YES], YES, YES),
        ([YES, OPEN], OPEN, YES),
        ([YES, NO], NO, YES),
        ([OPEN, NO], NO, OPEN),
        ([NO, NO], NO, NO),
        ([OPEN, OPEN], OPEN, OPEN),
        ([], OPEN, OPEN),
    ],
)
def test_a_conjunction_needs_every_part_and_a_disjunction_one(
    parts: list[Verdict], all_of_them: Verdict, any_of_them: Verdict
) -> None:
    assert (all_hold(parts), any_holds(parts)) == (all_of_them, any_of_them)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (effect(0.1, 0.3), YES),
        (effect(0.1, 0.3, p=0.2), OPEN),
        (effect(-0.3, -0.1, p=0.01), YES),
        (effect(-0.01, 0.02), NO),
        (effect(-0.01, 0.04), OPEN),
        (effect(-0.04, 0.01), OPEN),
        (Effect(estimate=1.0, p=0.01), OPEN),
    ],
)
def test_a_difference_is_shown_by_interval_and_p_and_denied_by_an_interval_within_the_margin(
    measured: Effect, verdict: Verdict
) -> None:
    assert measured.difference(0.03) == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(effect(0.9, 1.1), YES), (effect(0.7, 1.1), OPEN), (effect(1.3, 1.5), NO), (effect(0.5, 0.7), NO)],
)
def test_an_equivalence_is_refuted_only_by_an_interval_outside_its_bounds(measured: Effect, verdict: Verdict) -> None:
    assert measured.within(0.8, 1.25) == verdict


def test_an_opposite_effect_needs_its_p_value_and_an_equivalence_does_not() -> None:
    assert effect(-0.3, -0.1, p=0.01).verdict() == NO
    assert effect(-0.3, -0.1, p=0.08).verdict() == OPEN
    assert effect(-0.01, 0.01, p=0.8).verdict(margin=0.02) == NO


def test_an_effect_below_a_level_is_the_effect_seen_from_that_level() -> None:
    short = effect(0.7, 0.9).short_of(1.0)
    assert (short.lo, short.hi) == (pytest.approx(0.1), pytest.approx(0.3))
    assert short.verdict() == YES
    assert effect(0.97, 0.99).short_of(1.0).verdict(margin=0.1) == YES
    assert effect(0.95, 1.0).short_of(1.0).verdict(margin=0.1) == NO


@pytest.mark.parametrize(("tests", "sides"), [(1, 2), (3, 2), (4, 1)])
def test_the_least_effect_that_is_seen_is_found_with_a_power_of_four_fifths(tests: int, sides: int) -> None:
    rng = np.random.default_rng(tests)
    z = least_seen(1.0, tests=tests, sides=sides) + rng.standard_normal(20_000)
    found = norm.sf(np.abs(z) if sides == 2 else z) * sides * tests <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("verdict", "p", "joint"),
    [
        (YES, 0.02, OPEN),  # three models: Holm's p is 0.06
        (NO, 0.02, OPEN),  # an opposite effect is a discovery too
        (NO, 0.6, NO),  # an equivalence does not rest on p
        (YES, 0.01, YES),
    ],
)
def test_over_several_models_a_verdict_that_rests_on_p_keeps_it_only_with_the_corrected_one(
    verdict: Verdict, p: float, joint: Verdict
) -> None:
    runs = [types.SimpleNamespace(model=name) for name in ("a", "b", "c")]
    judged = [(run, Judgement(verdict=verdict, statement="Said.", estimate=0.1, p=p, n=1)) for run in runs]
    assert joined(judged).verdict == joint  # type: ignore[arg-type]
