"""Batches hold each text exactly once, within their budget; positions are those that were asked for."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layeratlas.capture import Reading, make_plan
from layeratlas.capture.plan import make_riding_plan, positions_of
from layeratlas.core.errors import CaptureError

IDS = st.lists(st.integers(0, 50), min_size=1, max_size=30).map(tuple)
READINGS = st.lists(IDS.map(lambda ids: Reading(ids, (len(ids) - 1,))), min_size=1, max_size=25)
BUDGET = st.integers(1, 100)


@given(READINGS, BUDGET)
def test_each_text_occurs_once_and_unchanged(readings, budget):
    plan = make_plan(readings, budget)
    assert sorted(row for batch in plan for row in batch.rows) == list(range(len(readings)))
    for batch in plan:
        assert batch.ids.shape == batch.mask.shape == (len(batch.rows), len(batch.ids[0]))
        for ids, mask, row, positions in zip(batch.ids, batch.mask, batch.rows, batch.positions, strict=True):
            n = len(readings[row].ids)
            assert tuple(ids[:n]) == readings[row].ids
            assert mask.tolist() == [1] * n + [0] * (len(mask) - n)
            assert positions == readings[row].positions


@given(READINGS, BUDGET)
def test_a_batch_stays_within_its_budget_unless_it_is_one_text(readings, budget):
    assert all(batch.ids.size <= budget or len(batch.rows) == 1 for batch in make_plan(readings, budget))


@given(READINGS, BUDGET)
def test_texts_of_like_length_share_batches(readings, budget):
    """Padding is never to the longest text of the set: no text is longer than any of a later batch."""
    plan = make_plan(readings, budget)
    lengths = [[len(readings[row].ids) for row in batch.rows] for batch in plan]
    assert all(max(a) <= min(b) for a, b in pairwise(lengths))
    assert all(batch.ids.shape[1] == max(found) for batch, found in zip(plan, lengths, strict=True))


@given(READINGS, BUDGET)
def test_the_same_readings_give_the_same_keys_and_batches_differ_in_theirs(readings, budget):
    keys = [batch.key for batch in make_plan(readings, budget)]
    assert keys == [batch.key for batch in make_plan(list(readings), budget)]
    assert len(set(keys)) == len(keys)


@given(READINGS, BUDGET, st.data())
def test_a_key_changes_with_a_token_and_with_a_position(readings, budget, data):
    row = data.draw(st.integers(0, len(readings) - 1))
    reading = readings[row]
    token = (*reading.ids[:-1], reading.ids[-1] + 100)
    before = {batch.key for batch in make_plan(readings, budget)}
    for changed in (
        dataclasses.replace(reading, ids=token),
        dataclasses.replace(reading, positions=(*reading.positions, 0)),
    ):
        plan = make_plan([*readings[:row], changed, *readings[row + 1 :]], budget)
        assert next(batch.key for batch in plan if row in batch.rows) not in before


def test_a_key_changes_with_the_rows_so_that_a_shard_is_never_put_at_others():
    one, two = Reading((1, 2), (1,)), Reading((1, 2, 3), (2,))
    keys = {make_plan(readings, 3)[0].key for readings in ([one, two], [two, one])}
    assert len(keys) == 2


def test_the_padding_token_and_the_mask():
    (batch,) = make_plan([Reading((7,), (0,)), Reading((8, 9), (1,))], 100, pad=5)
    assert batch.ids.tolist() == [[7, 5], [8, 9]]
    assert batch.mask.tolist() == [[1, 0], [1, 1]]
    assert batch.ids.dtype == batch.mask.dtype == np.int64


# "<s>", "An", " apple", "" (a token without characters), " pie"
OFFSETS = [(0, 0), (0, 2), (2, 8), (8, 8), (8, 12)]
SPANS = {"noun": (3, 8), "all": (0, 12), "inside": (4, 6), "beyond": (12, 20)}


@pytest.mark.parametrize(
    ("where", "positions"),
    [
        ("last", (4,)),
        ("mean", (1, 2, 3, 4)),
        ("span:noun", (2,)),
        ("span:all", (1, 2, 4)),
        ("span:inside", (2,)),
    ],
)
def test_positions(where, positions):
    assert positions_of(where, OFFSETS, SPANS) == positions


def test_a_text_of_one_token_is_its_own_mean():
    assert positions_of("mean", [(0, 0)], {}) == (0,)
    assert positions_of("last", [(0, 0)], {}) == (0,)


@pytest.mark.parametrize(
    ("where", "spans", "message"),
    [
        ("span:verb", SPANS, r"no span named 'verb' in a text that has \['all', .*\]; expected a span that every text"),
        ("span:verb", {}, r"no span named 'verb' in a text that has none; .*; use another --position"),
        ("span:beyond", SPANS, r"span 'beyond' \(12-20\) covers no token; expected a span of characters in the text"),
    ],
)
def test_a_span_that_is_not_there_is_refused(where, spans, message):
    with pytest.raises(CaptureError, match=message):
        positions_of(where, OFFSETS, spans)


@given(READINGS, BUDGET)
def test_a_text_that_another_begins_with_is_read_on_its_line(readings, budget):
    plan = make_riding_plan(readings, budget)
    assert sorted(row for batch in plan for row in batch.rows) == list(range(len(readings)))
    for batch in plan:
        assert batch.ids.size <= budget or len(batch.ids) == 1
        for row, line, positions in zip(batch.rows, batch.lines, batch.positions, strict=True):
            assert tuple(batch.ids[line][: len(readings[row].ids)]) == readings[row].ids
            assert positions == readings[row].positions
    # A line for each text that no other one begins with, and no more.
    every = {reading.ids for reading in readings}
    leaves = [ids for ids in every if not any(other != ids and other[: len(ids)] == ids for other in every)]
    assert sum(len(batch.ids) for batch in plan) == len(leaves)
    assert [b.key for b in plan] == [b.key for b in make_riding_plan(list(readings), budget)]
