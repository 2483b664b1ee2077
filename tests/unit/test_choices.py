"""Choices to curves: known scores give known accuracies, ties are shared, a token counter is seen for what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.answer_key import AnswerKey
from layeratlas.studies.exits.curves import level_curves
from layeratlas.studies.exits.measures import accuracy, chance_levels, mc2, mc3, ties
from layeratlas.studies.exits.scores import Rule, ScoredSet
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.studies.exits.strata import make_strata

RNG = np.random.default_rng(0)


def questions(n=200, choices=4, several=False):
    answers = [(int(RNG.integers(choices)),) if not several else (0, 2) for _ in range(n)]
    return tuple(
        Question(f"question {i}", tuple(f"{i}-{c}" for c in range(choices)), a, f"g{i}") for i, a in enumerate(answers)
    )


def scored(asked, tokens=None, data=None, bare=None):
    """`asked`: (n, K, P)."""
    n, k, points = asked.shape
    data = data or QuestionSet("set", "level", questions(n, k))
    sizes = np.ones(n * k) if tokens is None else tokens.ravel().astype(float)
    flat = asked.reshape(n * k, points)
    bare = np.zeros_like(flat) if bare is None else bare.reshape(n * k, points)
    return ScoredSet(data=data, after=flat, bare=bare, tokens=sizes, characters=sizes, bytes=sizes)


def curves_of(one, strict=False, main="sum"):
    sampler = Resampler([q.group for q in one.data.items], 200, 0)
    return {(c.method, c.metric, c.stratum): c for c in set_curves(one, sampler, strict=strict, score=main)}


def test_uniform_logits_count_tokens_and_nothing_else():
    """The sum is then the fewest tokens, the mean per token all ties: exactly chance where credit is shared."""
    tokens = RNG.integers(1, 5, (200, 4))
    # What a store keeps is float32, so that sums of some thousand equal numbers are exact in float64.
    one = scored(float(np.float32(-10.8)) * tokens[:, :, None].repeat(3, 2), tokens)
    for strict in (False, True):
        found = curves_of(one, strict)
        fewest = accuracy(one.rule_scores(Rule.FEWEST_TOKENS), one.key, strict).mean()
        assert np.allclose(found["sum", "accuracy", "all"].estimate, fewest, atol=1e-12)
        assert np.allclose(found["per_token", "accuracy", "all"].estimate, 0.0 if strict else 0.25, atol=1e-12)
        assert found["per_token", "ties", "all"].estimate.tolist() == [1.0] * 3
    # The published convention pushes a token counter below the chance level that it deserves.
    assert accuracy(one.rule_scores(Rule.FEWEST_TOKENS), one.key, True).mean() < 0.25
    assert curves_of(one)["sum", "accuracy", "all"].baseline == pytest.approx(fewest_split(one))


def fewest_split(one):
    return accuracy(one.rule_scores(Rule.FEWEST_TOKENS), one.key, False).mean()


def test_words_that_are_always_true_need_no_model():
    items = [Question(f"{i}?", ("yes", "no", "maybe"), (0 if i % 4 else 1,), f"g{i}") for i in range(40)]
    one = scored(np.zeros((40, 3, 2)), data=QuestionSet("set", "level", tuple(items)))
    assert accuracy(one.rule_scores(Rule.MOST_FREQUENT_ANSWER), one.key, False).mean() == 0.75
    assert curves_of(one)["sum", "accuracy", "all"].baseline == 0.75
    # A question does not vote for itself: where every truth is new, the rule is blind.
    new = scored(np.zeros((40, 4, 2)))
    assert accuracy(new.rule_scores(Rule.MOST_FREQUENT_ANSWER), new.key, False).mean() == 0.25


def test_credit_of_known_scores():
    data = QuestionSet("set", "level", (Question("q", ("a", "b", "c", "d"), (1, 2), "g"),))
    key = AnswerKey.of(data)
    cases = {
        # The first true choice (b) against the false ones (a, d); the other true one (c) does not count for MC1.
        (-3.0, -1.0, 0.0, -2.0): (1.0, 1.0, 1.0),
        (-1.0, -1.0, -5.0, -2.0): (0.5, 0.0, 0.25),
        (-1.0, -1.0, -1.0, -1.0): (1 / 3, 0.0, 1 / 3),
        (0.0, -1.0, -1.0, -9.0): (0.0, 0.0, 0.0),
    }
    for values, (split, strict, third) in cases.items():
        scores = np.array([values])
        assert accuracy(scores, key, False)[0] == pytest.approx(split)
        assert accuracy(scores, key, True)[0] == strict
        assert mc3(scores, key, False)[0] == pytest.approx(third)
        mass = np.exp(values)
        assert mc2(scores, key, False)[0] == pytest.approx(mass[1:3].sum() / mass.sum())
    assert ties(np.array([[-1.0, -1.0, -5.0, -2.0]]), key, False)[0] == 1
    assert ties(np.array([[-3.0, -1.0, -1.0, -2.0]]), key, False)[0] == 0
    # Far below what exp can hold.
    assert mc2(np.array([[-2000.0, -1999.0, -2001.0, -2000.0]]), key, False)[0] == pytest.approx(
        (np.e + 1 / np.e) / (np.e + 1 / np.e + 2)
    )
    assert chance_levels("accuracy", key) == pytest.approx(1 / 3)
    assert chance_levels("mc2", key) == 0.5


def test_mc3_of_equal_chances_is_what_blind_choice_scores():
    data = QuestionSet("set", "level", questions(4000, 5, several=True))
    key = AnswerKey.of(data)
    scores = RNG.normal(size=(4000, 5))
    for name, measure in (("accuracy", accuracy), ("mc3", mc3)):
        assert measure(scores, key, False).mean() == pytest.approx(chance_levels(name, key).mean(), abs=0.025)


def test_questions_with_fewer_choices_are_not_helped_by_what_is_not_there():
    items = (Question("q", ("a", "b"), (0,), "g"), Question("r", ("a", "b", "c"), (2,), "h"))
    one = ScoredSet(
        data=QuestionSet("set", "level", items),
        after=np.array([[-2.0], [-1], [-3], [-2], [-1]]),
        bare=np.zeros((5, 1)),
        tokens=np.ones(5),
        characters=np.ones(5),
        bytes=np.ones(5),
    )
    assert one.scores("sum")[0].tolist() == [[-2, -1, -np.inf], [-3, -2, -1]]
    assert accuracy(one.scores("sum"), one.key, False)[0].tolist() == [0, 1]
    assert chance_levels("accuracy", one.key).tolist() == [1 / 2, 1 / 3]


def test_the_scores_are_the_same_numbers_divided():
    asked, bare = -RNG.random((50, 4, 2)) * 20, -RNG.random((50, 4, 2)) * 20
    tokens = RNG.integers(1, 9, (50, 4))
    one = scored(asked, tokens, bare=bare)
    assert np.allclose(one.scores("per_token"), np.moveaxis(asked / tokens[:, :, None], -1, 0))
    assert np.allclose(one.scores("minus_answer"), np.moveaxis(asked - bare, -1, 0))
    assert np.allclose(one.scores("sum", bare=True), np.moveaxis(bare, -1, 0))
    assert np.array_equal(one.scores("minus_answer", bare=True), one.scores("sum", bare=True))


def test_a_crossed_stratum_is_reported_by_its_words():
    parts = [f"{d} {o}" for d in ("1-2", "3-4") for o in ("add", "mul")]
    items = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i}", parts[i % 4]) for i in range(80))
    found = make_strata(QuestionSet("set", "level", items))
    assert {name: int(inside.sum()) for name, inside in found.items()} == {"1-2": 40, "add": 40, "mul": 40, "3-4": 40}
    same = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i}", f"{i % 2} people") for i in range(80))
    assert set(make_strata(QuestionSet("set", "level", same))) == {"0 people", "1 people"}
    # A part called as the whole is would be drawn twice under one name.
    clash = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i}", ("all", "some")[i % 2]) for i in range(80))
    data = QuestionSet("set", "level", clash)
    assert set(make_strata(data)) == {"some"}
    # Too few to say anything, or everything: no stratum.
    assert make_strata(QuestionSet("set", "level", items[:30])) == {}
    # `all` is the part of those that are in none, and never a second curve of that name.
    loose = tuple(replace(q, stratum="all" if i % 2 else "x") for i, q in enumerate(items))
    assert list(make_strata(QuestionSet("set", "level", loose))) == ["x"]
    assert make_strata(QuestionSet("set", "level", questions(50))) == {}


def test_a_level_is_the_mean_of_its_sets_and_resampled_with_them():
    first, second = (scored(RNG.normal(size=(60, 4, 3))) for _ in range(2))
    sampler = Resampler([q.group for q in first.data.items], 200, 0)
    sets = [c for one in (first, second) for c in set_curves(one, sampler, strict=False, score="sum")]
    (whole,) = (c for c in level_curves(sets, {"level": 60}) if (c.method, c.metric) == ("sum", "accuracy"))
    parts = [c for c in sets if (c.method, c.metric) == ("sum", "accuracy")]
    assert np.allclose(whole.draws, (parts[0].draws + parts[1].draws) / 2)
    assert (whole.task, whole.n, whole.n_groups) == ("all", 120, 60)
