"""The built-in question sets: truths found again by other means, and no surface that gives them away."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest

import families
from layeratlas.core import registry
from layeratlas.core.spec import hash_of
from layeratlas.data.choices import near_misses
from layeratlas.data.lists import read_list
from layeratlas.studies.exits.analysis import analyse
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

TASKS = ("arithmetic", "word_problems", "xmps", "facts", "truth", "logic")
SIZES = ("quick", "standard", "full")
EVEN = [task for task in TASKS if task != "truth"]  # all choices of a question, or of a group, have equal chances


def build(task, size="standard"):
    return registry.get("tasks", task).build(size)


def sets(size="standard"):
    return [data for task in TASKS for data in build(task, size)]


def picked(items, rule):
    """Return the accuracy of choosing the choice with the smallest `rule(question, choice)`, ties split."""
    total = 0.0
    for q in items:
        values = [rule(q, choice) for choice in q.choices]
        best = [place for place, value in enumerate(values) if value == min(values)]
        total += sum(place in q.answers for place in best) / len(best)
    return total / len(items)


def fewest(q, choice):
    return len(choice)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_nested(task):
    def scored(size):
        return {(s.name, q.text, q.choices, q.answers, q.group, q.stratum) for s in build(task, size) for q in s.items}

    quick, standard, full = (scored(size) for size in SIZES)
    assert quick < standard <= full


def test_questions_do_not_depend_on_the_process():
    code = (
        "from layeratlas.core import registry; from layeratlas.core.spec import hash_of\n"
        f"print(hash_of([s.identity() for t in {TASKS} for s in registry.get('tasks', t).build('quick')]))"
    )
    here = hash_of([s.identity() for s in sets("quick")])
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "1"})
    assert done.stdout.strip() == here


def test_sizes_keep_to_what_was_planned():
    assert sum(len(s.items) for s in sets("quick")) <= 180
    assert sum(len(s.items) for s in sets("standard")) <= 1100
    names = [s.name for s in sets()]
    assert len(set(names)) == len(names)
    assert {s.level for s in sets()} == {
        *("arithmetic", "calculation", "reasoning", "cross-lingual", "facts", "truthfulness", "logic"),
    }


def test_every_set_has_six_worked_examples_and_an_instruction():
    for data in sets("quick"):
        assert len(data.shots) == 6, data.name
        assert data.instruction


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("task", EVEN)
def test_length_tells_nothing_where_it_can_be_held(task, size):
    for data in build(task, size):
        for measure in (fewest, lambda q, choice: len(choice.encode()), lambda q, choice: -len(choice)):
            assert picked(data.items, measure) == pytest.approx(data.chance)


@pytest.mark.parametrize("size", ["standard", "full"])
def test_the_true_choice_stands_everywhere_alike(size):
    for data in sets(size):
        for choices in {len(q.choices) for q in data.items}:
            counts = Counter(q.answers[0] for q in data.items if len(q.choices) == choices)
            assert len(counts) == choices
            spread = max(counts.values()) - min(counts.values())
            assert spread <= 0.2 * sum(counts.values()) / choices, (data.name, counts)


# Arithmetic


def evaluated(text):
    one, sign, two = re.fullmatch(r"What is (\S+) (\S) (\S+)\?", text).groups()
    a, b = Fraction(one), Fraction(two)
    return {"+": a + b, "-": a - b, "*": a * b}[sign] if sign != "/" else a / b


def test_arithmetic_is_right_and_the_other_choices_are_wrong():
    (data,) = build("arithmetic", "full")
    for q in (*data.items, *data.shots):
        values = [Fraction(choice) for choice in q.choices]
        assert values[q.answers[0]] == evaluated(q.text)
        assert len(set(values)) == 4
        assert len({len(choice) for choice in q.choices}) == 1
        assert len({choice.startswith("-") for choice in q.choices}) == 1
        assert len({len(choice.partition(".")[2]) for choice in q.choices}) == 1
        assert not any(re.search(r"\.\d*0$|^-?0\d", choice) for choice in q.choices)


def test_arithmetic_fills_every_cell_with_operands_of_its_digits():
    (data,) = build("arithmetic", "full")
    counts = Counter(q.stratum for q in data.items)
    assert len(counts) == 24
    assert set(counts.values()) == {200}
    for q in data.items:
        digits, _, kind = q.stratum.split()
        low, high = map(int, digits.split("-"))
        operands = re.findall(r"[\d.]+", q.text)
        assert all(low <= len(one.replace(".", "").lstrip("0")) <= high for one in operands)
        assert all(("." in one) == (kind == "float") for one in operands)


def test_an_integer_problem_and_its_decimal_twin_share_digits_and_a_group():
    (data,) = build("arithmetic")
    groups = defaultdict(list)
    for q in data.items:
        groups[q.group].append(q)
    for pair in groups.values():
        assert {q.stratum.split()[2] for q in pair} == {"integer", "float"}
        digits = [[one.replace(".", "").lstrip("0") for one in re.findall(r"[\d.]+", q.text)] for q in pair]
        assert digits[0] == digits[1]


def test_the_truth_is_not_the_choice_that_the_others_resemble():
    (data,) = build("arithmetic", "full")

    def distance(q, choice):
        return sum(a != b for other in q.choices for a, b in zip(choice, other, strict=True))

    assert picked(data.items, distance) == pytest.approx(0.25, abs=0.05)


def test_a_distance_to_the_truth_would_be_noticed():
    """The same rule does find truths from which all wrong choices are made."""
    rng, found = random.Random(0), []
    while len(found) < 300:
        truth = str(rng.randint(10000, 99999))
        wrong = [near_misses(truth, 1, rng)[0] for _ in range(3)]
        totals = [sum(a != b for o in (truth, *wrong) for a, b in zip(c, o, strict=True)) for c in (truth, *wrong)]
        found.append(totals[0] == min(totals))
    assert sum(found) / len(found) > 0.6


def test_a_number_without_enough_near_misses_is_refused():
    with pytest.raises(ValueError, match="5 has fewer than 9 near misses"):
        near_misses("5", 9, random.Random(0))


# Word problems: each template's answer from the numbers in its text, in their order.
ANSWERS = {
    "eggs": lambda a, b, c: a * b - c,
    "shopping": lambda a, b, c: a * b + c,
    "sweets": lambda a, b, c: (a + b) / c,
    "book": lambda a, b, c: (a - b) / c,
    "apples": lambda a, b, c: a / b * c,
    "train": lambda a, b, c: a - b + c,
    "savings": lambda a, b, c: c - a * b,
    "trees": lambda a, b, c: (a + b) * c,
    "bakery": lambda a, b, c, d: (a * b - c) / d,
    "garden": lambda a, b, c, d: a * b + c * d,
    "posters": lambda a, b, c, d: (a + b) / c * d,
    "fair": lambda a, b, c, d: a * b - c * d,
    "barrel": lambda a, b, c: a - b * c,
    "pencils": lambda a, b, c: a / b - c,
    "lamps": lambda a, b, c: (a + b) * c,
    "hall": lambda a, b, c, d: a * b - c - d,
}
CALCULATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def numbers(text):
    return [int(one) for one in re.findall(r"\d+", text)]


def worked(solution):
    """Return a solution's operators, which of its calculations are right, and its end."""
    lines = CALCULATION.findall(solution)
    right = [
        {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b), "/": Fraction(int(a), int(b))}[sign]
        == int(c)
        for a, sign, b, c in lines
    ]
    return [sign for _, sign, _, _ in lines], right, int(lines[-1][3])


def test_word_problems_end_in_the_answer_that_their_numbers_give():
    assert len(ANSWERS) >= 12
    for data in build("word_problems", "full"):
        assert {q.stratum for q in data.items} == set(ANSWERS)
        for q in (*data.items, *data.shots):
            ends = [worked(choice)[2] for choice in q.choices]
            assert ends[q.answers[0]] == ANSWERS[q.stratum](*numbers(q.text))
            assert len(set(ends)) == 4
            assert "{" not in q.text + "".join(q.choices)


def test_wrong_solutions_are_wrong_in_the_way_that_their_set_says():
    calculation, reasoning = build("word_problems")
    for q in calculation.items:
        signs, right, _ = worked(q.truth)
        assert all(right)
        for choice in set(q.choices) - {q.truth}:
            assert worked(choice)[0] == signs
            assert worked(choice)[1].count(False) == 1
    for q in reasoning.items:
        for choice in set(q.choices) - {q.truth}:
            assert worked(choice)[0] != worked(q.truth)[0]
            assert all(worked(choice)[1])
    assert [(q.text, q.group) for q in calculation.items] == [(q.text, q.group) for q in reasoning.items]


def test_languages_are_parallel():
    english, *others = build("xmps")
    assert [data.language for data in others] == ["zh", "es", "fr", "de", "th"]
    assert len({q.stratum for q in english.items}) >= 6
    for q in english.items:
        assert worked(q.truth)[2] == ANSWERS[q.stratum](*numbers(q.text))
    for data in others:
        for part, same in ((data.items, english.items), (data.shots, english.shots)):
            for q, e in zip(part, same, strict=True):
                assert (q.group, q.answers, q.stratum) == (e.group, e.answers, e.stratum)
                assert sorted(numbers(q.text)) == sorted(numbers(e.text))
                assert [CALCULATION.findall(c) for c in q.choices] == [CALCULATION.findall(c) for c in e.choices]


def test_choices_of_a_language_differ_in_digits_alone_and_keep_to_its_script():
    for data in build("xmps"):
        for q in data.items:
            assert len({re.sub(r"\d", "0", choice) for choice in q.choices}) == 1
            if data.language in ("zh", "th"):
                assert not re.search(r"[A-Za-z]", q.text + q.truth)
                assert re.search({"zh": r"[\u4e00-\u9fff]", "th": r"[\u0e00-\u0e7f]"}[data.language], q.text)


# Facts


def test_the_published_mixed_form_translates_the_truth_alone_and_says_so():
    english, french = build("xmps")[0], build("xmps")[3]
    mixed = build("xmps_paper")
    assert [data.language for data in mixed] == ["es", "fr", "zh", "th"]
    assert all(data.confounded and data.shots == english.shots for data in mixed)
    for q, one, other in zip(mixed[1].items, english.items, french.items, strict=True):
        assert (q.text, q.group, q.truth) == (one.text, one.group, other.truth)
        assert {c for c in q.choices if c != q.truth} == {c for c in one.choices if c != one.truth}


def test_facts_are_as_many_as_promised_and_none_is_said_twice():
    table = read_list("facts")
    assert len(table) >= 240
    assert len({row["relation"] for row in table}) >= 8
    assert len({(row["relation"], row["subject"]) for row in table}) == len(table)


def test_each_candidate_of_a_block_is_true_once_and_gold_nowhere_else_for_that_prompt():
    (data,) = build("facts", "full")
    blocks, gold = defaultdict(list), defaultdict(set)
    for q in data.items:
        blocks[q.group].append(q)
        gold[q.text].add(q.truth)
    for members in blocks.values():
        assert len(members) == 4
        assert len({frozenset(q.choices) for q in members}) == 1
        assert sorted(q.truth for q in members) == sorted(members[0].choices)
    for q in data.items:
        assert set(q.choices) & gold[q.text] == {q.truth}
    assert not gold.keys() & {q.text for q in data.shots}


# Truth


def test_misconceptions_have_two_true_and_three_false_answers_and_no_tell_tale_length():
    (data,) = build("truth")
    assert len(data.items) >= 60
    assert all(len(q.choices) == 5 and len(q.answers) == 2 for q in data.items)
    assert picked(data.items, fewest) == pytest.approx(data.chance, abs=0.06)
    assert picked(data.items, lambda q, choice: -len(choice)) == pytest.approx(data.chance, abs=0.06)
    shortest = 0.0
    for q in data.items:
        lengths = [len(c) for place, c in enumerate(q.choices) if place not in q.answers[1:]]
        shortest += (len(q.truth) == min(lengths)) / lengths.count(min(lengths))
    assert shortest / len(data.items) == pytest.approx(0.25, abs=0.06)


def test_misconceptions_are_not_those_of_truthfulqa():
    published = families.shared_folder() / "data" / "truthfulqa" / "truthfulqa.jsonl"
    if not published.is_file():
        pytest.skip("TruthfulQA is not here")
    theirs = [json.loads(line) for line in published.read_text(encoding="utf-8").splitlines()]
    questions = {row["question"].lower() for row in theirs}
    answers = {answer.lower() for row in theirs for answer in (*row["correct"], *row["incorrect"])}
    (data,) = build("truth")
    assert not {q.text.lower() for q in (*data.items, *data.shots)} & questions
    assert sum(choice in answers for q in data.items for choice in q.choices) <= 3


# Logic


def ranked(text):
    """Return who may hold the rank that is asked for, over all orders that the statements allow."""
    *said, question = re.split(r"(?<=\.) ", text)
    pairs, people = [], set()
    more = {"taller", "older", "faster", "stronger", "richer"}
    for statement in said:
        one, word, two = re.fullmatch(r"(\w+) is (\w+) than (\w+)\.", statement).groups()
        people |= {one, two}
        pairs.append((one, two) if word in more else (two, one))
    rank, superlative = re.fullmatch(r"Who is the (second |third |)(\w+)\?", question).groups()
    place = ("", "second ", "third ").index(rank)
    place = place if superlative.removesuffix("est") + "er" in more else -1 - place
    orders = [o for o in permutations(people) if all(o.index(high) < o.index(low) for high, low in pairs)]
    return {order[place] for order in orders}


def test_orderings_have_one_answer_and_it_is_the_true_choice():
    data = build("logic", "full")[0]
    for q in (*data.items, *data.shots):
        assert ranked(q.text) == {q.truth}
    assert {len(q.choices) for q in data.items} == {3, 4}


@pytest.mark.parametrize("rule", ["first", "last", "rarest", "commonest"])
def test_neither_place_nor_count_of_a_name_tells(rule):
    data = build("logic", "full")[0]
    rules = {
        "first": lambda q, c: q.text.index(c),
        "last": lambda q, c: -q.text.rindex(c),
        "rarest": lambda q, c: q.text.count(c),
        "commonest": lambda q, c: -q.text.count(c),
    }
    assert picked(data.items, rules[rule]) == pytest.approx(data.chance, abs=0.07)


def follows(premises, conclusion):
    """Decide by every way to make up things out of the terms."""
    said = [re.fullmatch(r"(All|No|Some) (\w+) are (\w+)\.?", one).groups() for one in (*premises, conclusion)]
    terms = sorted({term for _, *pair in said for term in pair})
    things = [dict(zip(terms, has, strict=True)) for has in product((False, True), repeat=len(terms))]
    for quantity, x, y in said[:-1]:
        if quantity == "All":
            things = [one for one in things if not one[x] or one[y]]
        elif quantity == "No":
            things = [one for one in things if not (one[x] and one[y])]
    quantity, x, y = said[-1]
    if quantity == "All":
        return all(one[y] for one in things if one[x])
    if quantity == "No":
        return not any(one[x] and one[y] for one in things)
    witnesses = [[one for one in things if one[p] and one[q]] for some, p, q in said[:-1] if some == "Some"]
    return any(all(one[x] and one[y] for one in group) for group in witnesses)


def test_exactly_the_true_conclusion_follows():
    data = build("logic", "full")[1]
    assert {q.stratum for q in data.items} == {"every", "no", "some"}
    for q in (*data.items, *data.shots):
        premises = re.findall(r"(?:All|No|Some) \w+ are \w+\.", q.text)
        assert len(premises) == 4
        assert [follows(premises, choice) for choice in q.choices] == [c == q.truth for c in q.choices]


def test_the_evaluators_tell_right_from_wrong():
    assert ranked("Anna is taller than Emil. Who is the tallest?") == {"Anna"}
    assert ranked("Anna is taller than Emil. Anna is taller than Otto. Who is the shortest?") == {"Emil", "Otto"}
    assert follows(["All a are b.", "All b are c."], "All a are c")
    assert not follows(["All a are b.", "All c are b."], "All a are c")
    assert follows(["Some a are b.", "All b are c."], "Some a are c")
    assert not follows(["Some a are b.", "Some b are c."], "Some a are c")


@pytest.mark.parametrize(("size", "blocks"), [("quick", 2), ("standard", 3)])
def test_every_curve_of_every_set_stands_once(size, blocks):
    """Sets of a standard run are large enough for strata that those of a quick run are not.

    No exit of two blocks lies in the lower third, of which X8 speaks.
    """
    scored, rng = [], random.Random(0)
    for one in sets(size):
        sizes = np.array([float(len(c)) for q in one.items for c in q.choices])
        after, bare = (np.array([[rng.gauss(0, 1)] * (blocks + 1) for _ in sizes]) for _ in range(2))
        scored.append(ScoredSet(data=one, after=after, bare=bare, tokens=sizes, characters=sizes, bytes=sizes))
    curves, findings = analyse(scored, ExitSettings(), 40, 0)
    keys = [(c.level, c.task, c.stratum, c.method, c.metric) for c in curves]
    assert len(set(keys)) == len(keys) > 300
    assert {"X4", "X6"} <= {f.finding for f in findings}
    assert ("X8" in {f.finding for f in findings}) == (blocks > 2)
