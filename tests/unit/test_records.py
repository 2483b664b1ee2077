"""Data that cannot be measured is refused in one line that says why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from layeratlas.core.errors import AtlasError, DataError
from layeratlas.data.items import Dataset, Item


def items(*rows):
    return tuple(Item(text, label, group) for text, label, group in rows)


FINE = items(("a", "x", "1"), ("b", "y", "2"), ("c", "x", "3"), ("d", "y", "4"))
NUMBERS = items(("a", 0.5, "1"), ("b", 1.5, "2"))

BAD = {
    "no items": ((), "classes", r"task 'bad' has no items; expected at least two labelled texts; check the file"),
    "empty text": ((*FINE, Item(" \n", "x", "5")), "classes", r"task 'bad': item 5 has an empty text; expected a text"),
    "one group": (
        items(("a", "x", "g"), ("b", "y", "g")),
        "classes",
        r"one group \('g'\) covers all 2 items; expected at least two groups, since groups are",
    ),
    "one class": (items(("a", "x", "1"), ("b", "x", "2")), "classes", r"has one class \('x'\); expected two clas"),
    "class in one group": (
        (*FINE, Item("e", "z", "5"), Item("f", "z", "5")),
        "classes",
        r"class 'z' occurs in one group \('5'\); expected every class in at least two groups",
    ),
    "text in two groups": (
        (*FINE, Item("b", "y", "9")),
        "classes",
        r"the text of item 5 is in the groups '2' and '9'; expected each text in one group",
    ),
    "nan label": ((*NUMBERS, Item("c", math.nan, "3")), "number", r"item 3 has a label that is not finite"),
    "infinite label": ((*NUMBERS, Item("c", -math.inf, "3")), "number", r"item 3 has a label that is not finite"),
    "constant numbers": (
        items(("a", 2.5, "1"), ("b", 2.5, "2")),
        "number",
        r"every label is 2.5; expected numbers that differ; check the column",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_data_is_refused_in_one_line(case):
    rows, kind, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        Dataset("bad", "item", rows, kind=kind)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("task 'bad'")


@pytest.mark.parametrize("case", BAD)
def test_the_source_is_named_where_there_is_one(case):
    rows, kind, _ = BAD[case]
    with pytest.raises(DataError, match=r"^'my file\.csv'"):
        Dataset("bad", "item", rows, kind=kind, source="'my file.csv'")


def test_fine_data_passes_and_codes_are_sorted():
    data = Dataset("fine", "item", FINE[::-1])
    assert data.classes == ["x", "y"]
    assert data.y.tolist() == [1, 0, 1, 0]
    assert data.groups.tolist() == [3, 2, 1, 0]
    assert data.texts == ["d", "c", "b", "a"]


def test_the_same_text_may_stand_twice_in_one_group():
    assert len(Dataset("fine", "item", (*FINE, FINE[0])).items) == 5


def test_numbers_keep_their_values_and_have_no_classes():
    data = Dataset("n", "item", NUMBERS, kind="number")
    assert data.classes == []
    assert np.array_equal(data.y, [0.5, 1.5])


def test_an_error_is_found_expected_todo_on_one_line():
    error = AtlasError("found\nthis ", "that", "do  it")
    assert str(error) == "found this ; expected that; do it"
    assert (error.problem, error.expected, error.todo) == ("found\nthis ", "that", "do  it")
    assert str(AtlasError("only this")) == "only this"
