"""Questions that cannot be scored are refused, each with its place and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question, QuestionSet


def ask(text="What is 2 + 3?", choices=("5", "6"), answers=(0,), where="'own.jsonl', line 7") -> Question:
    return Question(text, choices, answers, group=text, where=where)


def test_a_set_that_can_be_scored_is_taken_and_knows_its_chance():
    more = ask("What is 1 + 1?", ("2", "3", "4", "5"))
    assert QuestionSet("sums", "arithmetic", (ask(), more)).chance == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ({"text": "  "}, "an empty question"),
        ({"choices": ("5",)}, "1 choices"),
        ({"choices": ("5", " ")}, "an empty choice"),
        ({"choices": ("5", "6", "5")}, "the choice '5' twice"),
        ({"answers": ()}, r"the answers \[\]"),
        ({"answers": (0, 0)}, r"the answers \[0, 0\]"),
        ({"answers": (2,)}, "2 choices, and answer 2"),
        ({"answers": (0, 1)}, "no false choice"),
    ],
)
def test_what_cannot_be_scored_is_named_by_file_and_line(bad, found):
    with pytest.raises(DataError, match=rf"'own.jsonl', line 7 .*{found}"):
        QuestionSet("sums", "arithmetic", (ask("good"), ask(**bad)))


def test_no_item_is_duplicated_or_among_the_worked_examples():
    with pytest.raises(DataError, match="line 7 is duplicated"):
        QuestionSet("sums", "arithmetic", (ask(), ask(choices=("6", "5"), answers=(1,))))
    with pytest.raises(DataError, match="line 7 is also a worked example"):
        QuestionSet("sums", "arithmetic", (ask(),), shots=(ask(choices=("6", "5"), answers=(1,)),))
    with pytest.raises(DataError, match="has no questions"):
        QuestionSet("sums", "arithmetic", ())


def test_no_false_choice_is_true_of_the_same_question_elsewhere():
    first, other = ask("What grows?", where="line 6"), ask("What grows?", ("7", "5"))
    found = r"line 7 has the false choice '5', which is true of the same question in line 6; expected false choices"
    with pytest.raises(DataError, match=found):
        QuestionSet("sums", "arithmetic", (first, other))
    with pytest.raises(DataError, match="line 7 has the false choice '5'"):  # whichever stands first
        QuestionSet("sums", "arithmetic", (other, first))
    QuestionSet("sums", "arithmetic", (first, ask("What shrinks?", ("7", "5")), ask("What grows?", ("5", "8"))))


def test_an_ending_tells_sentences_apart_and_leaves_the_identity_of_other_questions():
    big, small = (
        Question(
            "The dog left the box as the ", ("dog", "box"), (answer,), "dog", where=f"line {answer}", ending=ending
        )
        for answer, ending in enumerate(("was too big.", "was too small."))
    )
    both = QuestionSet("ends", "sense", (big, small))
    assert both.identity() != QuestionSet("ends", "sense", (big, replace(small, ending="was too old."))).identity()
    with pytest.raises(DataError, match="line 1 is duplicated"):
        QuestionSet("ends", "sense", (big, replace(small, ending=big.ending)))
    # Runs of before must be found again.
    assert QuestionSet("sums", "arithmetic", (ask(),)).identity()[4] == [
        [["What is 2 + 3?", ("5", "6"), (0,), "What is 2 + 3?", "all"]],
        [],
    ]
    with pytest.raises(DataError, match="an empty question"):
        QuestionSet("ends", "sense", (replace(big, text="", ending=""),))
    assert len(QuestionSet("ends", "sense", (replace(big, text=""),))) == 1


def test_identity_changes_with_all_that_decides_a_number():
    plain = QuestionSet("sums", "arithmetic", (ask(),))
    others = [
        QuestionSet("sums", "arithmetic", (ask(choices=("5", "7")),)),
        QuestionSet("sums", "arithmetic", (ask(answers=(1,)),)),
        QuestionSet("sums", "arithmetic", (ask(),), instruction="Answer."),
        QuestionSet("sums", "arithmetic", (ask(),), shots=(ask("1 + 2?"),)),
    ]
    assert all(other.identity() != plain.identity() for other in others)
    assert QuestionSet("sums", "arithmetic", (ask(where="elsewhere"),)).identity() == plain.identity()
