"""What single findings of the exits study rest on: counts of tokens, and comparisons of the last exit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.findings.languages import agreement_curve
from layeratlas.studies.exits.findings.last_exit import ComparedExit, compare_last, last_claims, last_findings
from layeratlas.studies.exits.findings.token_count import token_choices, token_count_finding
from layeratlas.studies.exits.free_answers import free_curve
from layeratlas.studies.exits.names import GREEDY, ExitFinding, free_file
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.studies.exits.settings import ExitSettings, settings_of


def scored(after, tokens, level="reasoning"):
    """`after` (n, K, P), the first choice always true; `tokens` (n, K)."""
    n, k, points = after.shape
    items = tuple(Question(f"q{i}", tuple("abcd"[:k]), (0,), f"g{i}") for i in range(n))
    sizes = np.asarray(tokens, float).ravel()
    flat = after.reshape(n * k, points)
    return ScoredSet(
        data=QuestionSet("set", level, items),
        after=flat,
        bare=np.zeros_like(flat),
        tokens=sizes,
        characters=sizes,
        bytes=sizes,
    )


def test_token_choices_are_counted_where_choices_differ_in_tokens_and_ties_are_shared():
    after = np.zeros((3, 3, 2))
    after[0, :, 1] = (-1, -2, -3)  # chooses the first, one of two with the fewest
    after[1, :, 1] = (-5, -2, -2)  # ties between the second, which has the fewest, and the third
    choices = token_choices(scored(after, [[1, 1, 2], [2, 1, 3], [2, 2, 2]]))
    assert choices.groups == ["g0", "g1"]
    assert choices.fewest.tolist() == [1.0, 0.5]
    assert choices.blind.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert choices.right.tolist() == [1.0, 0.0]
    assert choices.rule_right.tolist() == [0.5, 0.0]


def test_too_few_questions_give_no_count_of_tokens():
    tokens = np.tile([1, 2, 3], (12, 1))
    enough = scored(-tokens[:, :, None] * np.ones(2), tokens)
    finding = token_count_finding([enough], Resampler(enough.groups, 100, 0), "per_byte", "")
    assert (finding.estimate, finding.verdict, finding.n) == (pytest.approx(2 / 3), "supported", 12)
    assert finding.method == "per_byte"
    few = scored(-tokens[:9, :, None] * np.ones(2), tokens[:9])
    assert token_count_finding([few], Resampler(few.groups, 100, 0), "sum", "") is None


def test_a_comparison_names_its_places_and_x3_is_turned():
    """The exit before the last answers all, the last exit half."""
    after = np.zeros((40, 2, 3))
    after[:, 0, 1] = 1.0
    after[::2, 0, 2], after[1::2, 1, 2] = 1.0, 1.0
    questions = scored(after, np.ones((40, 2)))
    sampler = Resampler(questions.groups, 200, 0)
    curve = next(c for c in set_curves(questions, sampler, strict=False, score="sum") if c.is_main("sum"))
    comparisons = compare_last([curve])
    assert [comparison.second for comparison in comparisons] == [ComparedExit.LAST_BUT_ONE, ComparedExit.BEST_OTHER]
    assert {comparison.verdict for comparison in comparisons} == {"not supported"}
    kinds = [(finding.finding, finding.estimate) for finding in last_findings(comparisons, "")]
    assert kinds == [(ExitFinding.LAST_EXIT, -0.5), (ExitFinding.LAST_AGAINST_BEST, pytest.approx(-0.5))]
    (x3,) = last_claims(comparisons, "")
    assert (x3.finding, x3.estimate, x3.verdict) == (ExitFinding.X3, 0.5, "supported")
    assert "the last but one answers better than the last exit: +0.50" in x3.statement
    assert (x3.lo, x3.hi) == (-comparisons[0].effect.hi, -comparisons[0].effect.lo)


def test_curves_of_decoded_and_of_scored_answers_count_unequal_groups_alike(tmp_path):
    items = scored(np.zeros((18, 2, 2)), np.ones((18, 2)))
    groups = ["g0"] * 10 + [f"g{i}" for i in range(1, 9)]
    grouped = tuple(replace(item, group=group) for item, group in zip(items.data.items, groups, strict=True))
    questions = replace(items, data=replace(items.data, items=grouped))
    sampler = Resampler(groups, 100, 0)
    rows = [{"question": i, "layer": 1, "right": i % 3 > 0, "blind": False} for i in range(18)]
    (tmp_path / free_file("set")).parent.mkdir()
    pl.DataFrame(rows).write_parquet(tmp_path / free_file("set"))
    free = free_curve(SimpleNamespace(folder=tmp_path), questions, sampler, GREEDY)
    whole = next(c for c in set_curves(questions, sampler, strict=False, score="sum") if c.is_main("sum"))
    assert free.counts == whole.counts
    assert free.counts.groups == pytest.approx(18**2 / (10**2 + 8))  # and not 9


def test_settings_are_read_from_a_run_in_one_place():
    assert settings_of({"spec": {}}) == ExitSettings()
    settings = ExitSettings(exit_norm="none", shots=1, ablate_shots=4)
    assert settings_of({"spec": {"settings": settings.model_dump()}}) == settings
    assert (settings.readout_note, ExitSettings().readout_note) == (", norm left out", "")
    assert settings.while_ablating.shots == 1
    assert ExitSettings().while_ablating.shots == 2
    assert all(field.description for field in ExitSettings.model_fields.values())


def in_language(language, name, answers):
    """A set of two choices, of which the first is chosen; `answers` are the true places."""
    items = tuple(Question(f"{name} {i}", tuple("ab"), (answer,), f"row {i}") for i, answer in enumerate(answers))
    data = QuestionSet(name, "commonsense", items, language=language)
    after = np.tile([[1.0], [0.0]], (len(items), 2))
    return replace(scored(after.reshape(len(items), 2, 2), np.ones((len(items), 2))), data=data)


def test_only_versions_of_the_same_questions_are_compared_between_languages():
    """Two tasks whose groups have equal names are no versions; one wrong row of a translation changes nothing."""
    answers = [i % 2 for i in range(20)]
    wrong_row, other_task = [1, *answers[1:]], [i // 2 % 2 for i in range(20)]
    en, de, th = (
        in_language("en", "en", answers),
        in_language("de", "de", wrong_row),
        in_language("th", "th", other_task),
    )
    sampler = Resampler(en.groups, 50, 0)
    curve = next(c for c in set_curves(en, sampler, strict=False, score="sum") if c.is_main("sum"))

    def kappa(*sets):
        return agreement_curve(sets, curve, sampler, strict=False)

    assert kappa(en, th) is None
    assert kappa(en, replace(de, data=replace(de.data, language="en"))) is None
    assert kappa(en, de, th).estimate == pytest.approx(kappa(en, de).estimate)
    assert kappa(en, de).estimate == pytest.approx(0.9)  # both answer the same places; one of 20 rows has another truth
