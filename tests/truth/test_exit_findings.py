"""Planted exits: what was planted is found, and nothing is found where nothing was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.peaks import onset
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.analysis import analyse
from layeratlas.studies.exits.findings.gains import level_gains
from layeratlas.studies.exits.findings.languages import agreement_curve
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.validation.scores import exit_interval

POINTS = 13


def planted(seed, signal, level="arithmetic", n=200, bare=0.0, language="en", name=None, noise=None):
    """A set whose true choice is ahead by `signal` (P,) standard deviations; `bare` of it without the question.

    `noise` is the seed of what is known of each question, by default that of the questions.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=n)
    rng = rng if noise is None else np.random.default_rng(noise)
    items = tuple(
        Question(f"{language} {i}", tuple("abcd"), (int(t),), f"g{i}", "1 integer" if i % 2 else "1 float")
        for i, t in enumerate(truth)
    )
    ahead = np.eye(4)[truth][:, :, None]
    spread = rng.normal(size=(n, 4, 1)) * 0.7 + rng.normal(size=(n, 4, POINTS)) * 0.7
    asked = spread + ahead * np.asarray(signal)
    other = np.random.default_rng([seed, *language.encode()])  # what is known without the question, each its own
    alone = other.normal(size=(n, 4, POINTS)) + ahead * bare
    sizes = np.ones(n * 4)
    return ScoredSet(
        data=QuestionSet(name or level, level, items, language=language),
        after=asked.reshape(n * 4, POINTS),
        bare=alone.reshape(n * 4, POINTS),
        tokens=sizes,
        characters=sizes,
        bytes=sizes,
    )


def step(at, height=2.0):
    return height / (1 + np.exp(-3.0 * (np.arange(POINTS) - at)))


def main_curve(one, seed=0):
    sampler = Resampler([q.group for q in one.data.items], 300, seed)
    return next(c for c in set_curves(one, sampler, strict=False, score="sum") if c.metric == "accuracy")


def findings(*sets, **settings):
    return {(f.finding, f.level): f for f in analyse(sets, ExitSettings(**settings), 300, 0)[1]}


def test_a_planted_onset_is_found_at_its_depth():
    curve = np.zeros((1, POINTS))
    curve[0, 6:] = 1.0
    assert onset(curve, np.arange(POINTS) / 12)[0] == pytest.approx(5.5 / 12)
    for at, verdict in ((9, "supported"), (3, "not supported")):
        found = findings(planted(at, step(at)))
        one = found["onset", "arithmetic"]
        assert one.lo <= at / 12 <= one.hi
        assert one.hi - one.lo < 0.3
        assert found["X1", "arithmetic"].verdict == verdict
        assert found["exit", "arithmetic"].verdict == "supported"


def test_what_the_choice_alone_tells_is_no_ability():
    """The truth is ahead at every exit, but as far ahead without its question."""
    one = planted(1, np.full(POINTS, 1.5), bare=1.5)
    assert main_curve(one).estimate.min() > 0.5
    found = findings(one)
    assert found["exit", "arithmetic"].verdict != "supported"
    assert ("onset", "arithmetic") not in found


def test_where_choices_hold_their_own_evidence_the_choice_alone_is_no_floor():
    """The same numbers as above, of a set whose wrong choices are wrong by themselves."""
    one = planted(1, np.full(POINTS, 1.5), bare=1.5)
    evident = replace(one, data=replace(one.data, evident=True))
    found = findings(evident)["exit", "arithmetic"]
    assert found.verdict == "supported"
    assert found.null == "the best exit equals the best of chance and the surface rules"
    assert main_curve(evident).shuffles.mean() > 0.5  # drawn all the same


def test_nothing_is_answered_at_the_nominal_rate_of_false_alarms():
    curves = [main_curve(planted(seed, np.zeros(POINTS), n=80), seed) for seed in range(60)]
    false = [level_gains([curve])[0].is_answered for curve in curves]
    assert np.mean(false) <= 0.05


def test_an_exit_whose_control_is_low_by_luck_is_credited_with_nothing():
    """As much is known without the question, by other noise at each exit; chosen and read on one floor, it gained."""
    curves = [main_curve(planted(seed, np.full(POINTS, 1.0), n=40, bare=1.0), seed) for seed in range(60)]
    gains = [level_gains([curve])[0] for curve in curves]
    assert np.mean([gain.is_answered for gain in gains]) <= 0.05
    assert abs(np.mean([gain.effect.estimate for gain in gains])) < 0.03


def test_languages_that_tell_the_truth_without_their_questions_share_no_ability():
    flat = np.full(POINTS, 2.0)
    sets = [planted(5, flat, "cross-lingual", bare=2.0, language=lang, name=lang) for lang in ("en", "de")]
    known = [replace(one, data=replace(one.data, evident=True)) for one in sets]
    assert findings(*known)["exit", "cross-lingual"].verdict == "supported"
    assert findings(*known)["X8", "cross-lingual"].verdict != "supported"


def grouped(one, each):
    """The same answers with `each` questions in a group."""
    items = tuple(replace(item, group=f"g{i // each}") for i, item in enumerate(one.data.items))
    return replace(one, data=replace(one.data, items=items))


def kappa(*sets):
    sampler = Resampler([group for one in sets for group in one.groups], 300, 0)
    return agreement_curve(sets, main_curve(sets[0]), sampler, strict=False)


def test_all_questions_of_a_group_count_in_the_agreement_of_languages():
    """Every second question is answered alike, and it comes first in its group of two."""
    alike, other = (planted(seed, np.full(POINTS, 1.0), "cross-lingual") for seed in (5, 6))
    first = np.repeat(np.arange(200) % 2 == 0, 4)[:, None]
    half = replace(alike, after=np.where(first, alike.after, other.after))
    de = replace(half, data=replace(alike.data, language="de"))
    single, double = kappa(alike, de), kappa(grouped(alike, 2), grouped(de, 2))
    np.testing.assert_allclose(double.estimate, single.estimate)
    assert single.estimate.mean() == pytest.approx(0.5, abs=0.1)
    assert (single.n_groups, double.n_groups) == (200, 100)
    # Which of two questions a single one is a version of is unknown.
    assert kappa(grouped(alike, 2), de) is None


def test_the_last_exit_against_the_one_before():
    rise, fall = step(6), step(6)
    rise[-1], fall[-1] = 4.0, 0.3
    better, worse = findings(planted(2, rise, "facts")), findings(planted(3, fall, "reasoning"))
    assert better["last exit", "facts"].verdict == "supported"
    assert better["X2", "facts"].verdict == "supported"
    assert worse["last exit", "reasoning"].verdict == "not supported"
    assert worse["X3", "reasoning"].verdict == "supported"
    assert worse["X3", "reasoning"].estimate > 0
    level = findings(planted(4, step(6), "reasoning"))
    assert level["last exit", "reasoning"].verdict == "inconclusive"


def test_languages_agree_only_where_they_share_what_they_know():
    flat = np.full(POINTS, 2.0)
    both = [planted(5, flat, "cross-lingual", language=lang, name=lang) for lang in ("en", "de")]
    apart = [both[0], planted(5, flat, "cross-lingual", language="de", name="de", noise=6)]
    # Other noise for the same questions: right in both languages no more often than by their separate rates.
    assert findings(*both)["X8", "cross-lingual"].verdict == "supported"
    assert findings(*apart)["X8", "cross-lingual"].verdict != "supported"
    nothing = [planted(7, np.zeros(POINTS), "cross-lingual", language=lang, name=lang) for lang in ("en", "de")]
    assert findings(*nothing)["X8", "cross-lingual"].verdict != "supported"


def test_nothing_is_said_of_a_set_whose_language_tells_the_truth():
    """Though its choices are told apart: what tells them is no ability."""
    known, mixed = (planted(seed, step(4), level) for seed, level in ((5, "arithmetic"), (9, "cross-lingual, mixed")))
    mixed = replace(mixed, data=replace(mixed.data, confounded="the language tells"))
    curves, found = analyse([known, mixed], ExitSettings(), 300, 0)
    assert {c.level for c in curves} == {"arithmetic", "cross-lingual, mixed"}
    assert {f.level for f in found} == {"arithmetic", "all"}
    assert [f.finding for f in analyse([mixed], ExitSettings(), 300, 0)[1]] == []


def test_a_token_counter_is_called_one():
    one = planted(8, np.zeros(POINTS))
    tokens = np.random.default_rng(8).integers(1, 6, len(one.tokens)).astype(float)
    sized = replace(one, tokens=tokens, characters=tokens, bytes=tokens)
    counting = replace(sized, after=-tokens[:, None] * np.ones(POINTS))
    assert findings(counting)["token count", "all"].verdict == "supported"
    assert findings(sized)["token count", "all"].verdict != "supported"


@pytest.mark.truth
@pytest.mark.parametrize("groups", [8, 13])
def test_intervals_near_the_end_of_the_scale_hold_the_truth_as_often_as_they_say(groups):
    """Where the number of failures is small, and with it the spread of the draws."""
    counts = [exit_interval(groups, 10, 0.9)(seed) for seed in range(120)]
    rate = sum(count.hits for count in counts) / sum(count.trials for count in counts)
    print(rate)
    assert 0.92 <= rate <= 0.98
