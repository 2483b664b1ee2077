"""Measures of generated text on texts whose values can be counted, and a paired test that keeps its level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from layeratlas.core.errors import DataError
from layeratlas.studies.segments.intervention.text_findings import EditedSpan, text_findings, text_rows
from layeratlas.studies.segments.intervention.text_measures import (
    MEASURES,
    adjacent_cosine,
    distinct,
    sentence_length,
    sentences,
)
from layeratlas.studies.segments.intervention.text_tests import compare_texts, rank_biserial
from layeratlas.studies.segments.names import GLOBAL, LOCAL

TEXT = 'The cat sat. The cat ran! "Why did it run?" she said.\n\nNobody knew'


def test_measures_are_what_one_counts():
    assert distinct("a b a b", 1) == 0.5
    assert distinct("a b a b", 2) == pytest.approx(2 / 3)
    assert np.isnan(distinct("one", 2))
    assert sentences(TEXT) == ["The cat sat.", "The cat ran!", '"Why did it run?', "she said.", "Nobody knew"]
    assert sentence_length(TEXT) == pytest.approx((3 + 3 + 4 + 2 + 2) / 5)
    assert adjacent_cosine("The cat sat. The cat ran.") == pytest.approx(2 / 3)
    assert adjacent_cosine("One two. One two. Three four.") == pytest.approx(0.5)
    assert np.isnan(adjacent_cosine("Only one sentence here."))
    assert [np.isnan(function("")) for function in MEASURES.values()] == [True, True, False, True, True]


def test_the_rank_biserial_effect_is_the_balance_of_ranks():
    assert rank_biserial(np.array([1.0, 2.0, 3.0])) == 1
    assert rank_biserial(np.array([-1.0, 0.0, -3.0])) == -1
    # Ranks 1 and 2 against 3: 3/6 - 3/6.
    assert rank_biserial(np.array([1.0, 2.0, -3.0])) == 0
    assert rank_biserial(np.zeros(3)) == 0
    rows = np.random.default_rng(0).integers(-3, 4, (50, 9)).astype(float)
    assert rank_biserial(rows) == pytest.approx([rank_biserial(row) for row in rows])
    kept = rows[0][rows[0] != 0]
    ranks = rankdata(np.abs(kept))
    assert rank_biserial(rows[0]) == pytest.approx((np.sign(kept) * ranks).sum() / ranks.sum())


def texts(rng, count, words):
    return [" ".join(rng.choice([f"w{i}" for i in range(words)], 40)) + "." for _ in range(count)]


def test_fewer_words_are_found_and_nothing_else_is():
    rng = np.random.default_rng(0)
    clean = texts(rng, 12, 60)
    changes = compare_texts(clean, {"poorer": texts(rng, 12, 15), "alike": texts(rng, 12, 60), "same": clean})
    by_measure = {(c.edit, c.measure): c for c in changes}
    poorer = by_measure["poorer", "distinct-1"]
    assert poorer.p < 0.05
    assert poorer.effect == -1
    assert poorer.edited < poorer.clean
    assert all(c.p > 0.05 for c in changes if c.edit != "poorer")
    assert by_measure["same", "distinct-1"].p == 1
    # One sentence each: nothing to compare, and no number.
    assert by_measure["poorer", "adjacent bag-of-words cosine"].n == 0
    assert np.isnan(by_measure["poorer", "adjacent bag-of-words cosine"].effect)


def test_p_is_scipys_times_the_number_of_tests():
    rng = np.random.default_rng(1)
    clean, edited = texts(rng, 10, 40), texts(rng, 10, 30)
    made = compare_texts(clean, {"fewer": edited})
    smallest = min(made, key=lambda c: c.p)
    gaps = np.array(
        [MEASURES[smallest.measure](b) - MEASURES[smallest.measure](a) for a, b in zip(clean, edited, strict=True)]
    )
    assert smallest.p == pytest.approx(min(1, 5 * wilcoxon(gaps[gaps != 0]).pvalue))


def test_too_few_or_unpaired_texts_are_refused():
    with pytest.raises(DataError, match="5 clean texts and 5 edited ones; expected as many of each, six or more"):
        compare_texts(["a"] * 5, {"x": ["b"] * 5})
    with pytest.raises(DataError, match="6 clean texts and 6, 7 edited ones"):
        compare_texts(["a"] * 6, {"x": ["b"] * 6, "y": ["b"] * 7})


def test_a_segment_is_compared_with_another_span_and_with_no_edit():
    rng = np.random.default_rng(2)
    clean = texts(rng, 16, 60)
    poor, same = texts(rng, 16, 12), texts(rng, 16, 60)
    edited = {EditedSpan("skip", LOCAL): poor, EditedSpan("skip", GLOBAL): same}
    controls = {EditedSpan("skip", LOCAL): texts(rng, 16, 60)}
    rows = {(row["span"], row["measure"]): row for row in text_rows(clean, edited, controls)}
    assert len(rows) == 2 * len(MEASURES)
    local, other = rows[LOCAL, "distinct-1"], rows[GLOBAL, "distinct-1"]
    assert local["edited_lo"] <= local["edited"] <= local["edited_hi"] < local["clean_lo"]
    assert local["effect"] == -1
    assert local["p"] < 0.05
    assert abs(local["control_effect"]) < 0.9
    assert np.isnan(other["control"])
    assert np.isnan(other["control_p"])
    assert other["p"] > 0.05


def test_a_claim_on_generated_text_needs_more_than_another_span_does():
    rng = np.random.default_rng(3)
    clean = texts(rng, 20, 60)
    near = [text.replace("w1 ", "w2 ") for text in clean]

    def finding(edited, control):
        (found,) = text_findings(clean, {EditedSpan("skip", LOCAL): edited}, {EditedSpan("skip", LOCAL): control})
        assert (found.level, found.method, found.n) == (LOCAL, "distinct-2", 20)
        assert found.lo <= found.estimate <= found.hi
        return found

    more, less = finding(texts(rng, 20, 6), near), finding(near, texts(rng, 20, 6))
    assert (more.verdict, less.verdict) == ("supported", "not supported")
    assert more.estimate > 0 > less.estimate
    assert finding(texts(rng, 20, 60), texts(rng, 20, 60)).verdict == "inconclusive"
    assert text_findings(clean, {EditedSpan("skip", "blocks 1-2"): near}, {}) == []


def test_a_claim_needs_two_texts():
    rng = np.random.default_rng(3)
    clean, edited = texts(rng, 2, 60), texts(rng, 2, 6)
    span = EditedSpan("skip", LOCAL)
    assert len(text_findings(clean, {span: edited}, {span: clean})) == 1
    assert text_findings(clean[:1], {span: edited[:1]}, {span: clean[:1]}) == []
