"""Attention by kind of text: verdicts, their words, the claim on languages, and where the kinds come from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from layeratlas.core import registry
from layeratlas.data.passages import Passages
from layeratlas.data.readers.passages import read_passages
from layeratlas.studies.segments.attention.findings import Kinds, attention_findings
from layeratlas.studies.segments.attention.table import attention_table

LAYERS, EACH = 8, 16


def kinds(names=("en", "th"), languages=True, each=EACH):
    listed = [name for name in names for _ in range(each)]
    return Kinds.of(listed, list(map(str, range(len(listed)))), {"en": 4.25, "th": 1.1}, languages=languages)


def measured(shift, sd=0.01, seed=0, each=EACH):
    """Both signals (P, L); the second kind's distance is `shift` less at block 3."""
    rng = np.random.default_rng(seed)
    values = {name: 0.5 + sd * rng.standard_normal((2 * each, LAYERS)) for name in SIGNALS}
    values["attention_distance"][each:, 3] -= shift
    return values


SIGNALS = ("attention_distance", "attention_entropy")


def verdicts(*args, **options):
    return [finding.verdict for finding in attention_findings(measured(*args, **options), kinds(), 0)]


def test_a_planted_difference_is_supported_and_equal_attention_refuted():
    assert verdicts(0.2) == ["supported", "not supported"]


def test_too_much_noise_decides_nothing():
    assert verdicts(0.0, sd=0.1) == ["inconclusive", "inconclusive"]


def test_too_few_passages_refute_nothing():
    found = attention_findings(measured(0.0, sd=0.001, each=5), kinds(each=5), 0)
    assert "not supported" not in [finding.verdict for finding in found]


def test_statements_say_where_how_much_and_what_tokens_leave_open():
    distance, entropy = attention_findings(measured(0.2), kinds(), 0)
    assert distance.statement.startswith("Attention distance differs between languages. Largest at block 3: 0.498 (en)")
    assert "and 0.304 (th), a difference of 0.194 [" in distance.statement
    assert "a token is 1.1 characters of th and 4.2 of en, so that part of a difference can" in distance.statement
    assert distance.lo < 0.2 < distance.hi
    assert entropy.statement.startswith("Attention entropy is the same in all languages within 0.05 of uniform at")
    undecided = attention_findings(measured(0.0, sd=0.1), kinds(languages=False), 0)[0]
    assert undecided.statement.startswith("Whether attention distance differs between kinds of text is undecided")


def test_false_findings_are_at_most_as_many_as_stated():
    """At 5 % per report, more than 9 of 80 happen in 1 % of trials."""
    reports = [verdicts(0.0, sd=0.05, seed=seed) for seed in range(80)]
    assert sum("supported" in report for report in reports) <= 9


def test_one_kind_or_a_single_passage_of_one_is_not_compared():
    assert Kinds.of(["en"] * 4, list("abcd"), {}, languages=True) is None
    assert Kinds.of(["en", "en", "th"], list("abc"), {}, languages=True) is None


def test_the_table_has_every_kind_at_every_block():
    table = attention_table(measured(0.2), kinds(), 0)
    assert len(table) == 2 * 2 * LAYERS
    row = table.row(by_predicate=None, index=LAYERS + 3, named=True)
    assert (row["kind"], row["layer"], row["n"]) == ("th", 3, EACH)
    assert row["lo"] < row["estimate"] < row["hi"]
    assert row["estimate"] == pytest.approx(0.3, abs=0.02)


class Judged:
    """A run as the claim sees it."""

    parameters, model, study = 1e8, "tiny", "segments"

    def __init__(self, found, languages):
        self.found, self.manifest = found, {"datasets": [{"name": "own", "languages": languages}]}

    def of_kind(self, kind):
        return [finding for finding in self.found if finding.finding == kind]


def test_the_claim_on_languages_is_judged_on_languages_alone():
    claim = registry.get("claims", "x10")
    differs = attention_findings(measured(0.2), kinds(), 0)
    assert claim.judge_run(Judged(differs, True)).verdict == "supported"
    equal = attention_findings(measured(0.0, sd=0.005), kinds(), 0)
    assert claim.judge_run(Judged(equal, True)).verdict == "not supported"
    other = claim.judge_run(Judged(differs, False))
    assert other.verdict == "inconclusive"
    assert "--task languages" in other.needs


def test_a_file_may_name_the_language_and_the_translated_text(tmp_path):
    rows = [{"text": f"{language} {number}", "language": language, "group": number}
            for language in ("en", "th") for number in range(3)]  # fmt: skip
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = read_passages(path)
    assert read.kinds == ("en",) * 3 + ("th",) * 3
    assert read.groups == ("0", "1", "2") * 2
    assert read.languages
    path.write_text("".join(json.dumps({"text": row["text"], "kind": "x"}) + "\n" for row in rows), encoding="utf-8")
    plain = read_passages(path)
    assert not plain.languages
    assert plain.groups == ()
    assert read.without([1], ()).groups == ("0", "2", "0", "1", "2")


def test_the_built_in_languages_are_translations():
    (data,) = registry.get("tasks", "languages").build("quick")
    (more,) = registry.get("tasks", "languages").build("standard")
    assert data.languages
    assert set(data.kinds) == {"en", "de", "es", "fr", "zh", "th"}
    assert all(list(data.groups).count(group) == 6 for group in data.groups)
    assert more.texts[: len(data.texts)] == data.texts
    digits = [["".join(filter(str.isdigit, text)) for text, own in zip(data.texts, data.groups, strict=True)
               if own == group] for group in dict.fromkeys(data.groups)]  # fmt: skip
    assert all(sorted(one) == sorted(other) for numbers in digits for one in numbers for other in numbers)
    assert isinstance(data, Passages)


def test_kinds_of_a_single_group_are_not_compared():
    """All passages of one book are one unit, with no spread to test against: noise was called a difference."""
    names, own = ["novel"] * 4 + ["law"] * 4, ["book 1"] * 4 + ["book 2"] * 4
    assert Kinds.of(names, own, {}, languages=False) is None
    assert Kinds.of(names, ["book 1"] * 4 + [f"law {n}" for n in range(4)], {}, languages=False) is None
    assert Kinds.of(names, [f"book {n}" for n in range(8)], {}, languages=False) is not None
