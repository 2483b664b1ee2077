"""Ordinary files that went wrong once: what is read from each, built here and, where it is there, from the folder."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import families
from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.readers.questions import read_questions
from layeratlas.data.readers.texts import read_table
from layeratlas.probes import make_design, surface_baseline

CASES = families.shared_folder() / "cases"
CHOICES = ["red", "blue", "green", "black"]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def asked(**more: Any) -> list[dict[str, Any]]:
    return [{"question": f"What colour is thing {i}", "choices": CHOICES, "answer": i % 4} | more for i in range(12)]


def sentences(separator: str) -> str:
    """Chinese characters, one of which tells the label."""
    rows, rng = [], random.Random(1)
    for i in range(60):
        text = rng.choices("桥地人草路日纸船书", k=6)
        text.insert(rng.randrange(6), "坏好"[i % 2])
        rows.append({"text": separator.join(text), "label": ("bad", "good")[i % 2]})
    return jsonl(rows)


BUILT = {
    "tables/numtext.csv": "text,label\n" + "".join(f"{i:04},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(40)),
    "tables/nan3.csv": "text,label\n" + "".join(f'"text {i}",{"NaN" if i % 20 == 7 else i % 2}\n' for i in range(40)),
    "tables/bom.jsonl": "\ufeff" + jsonl([{"text": f"text {i}", "label": ("neg", "pos")[i % 2]} for i in range(20)]),
    "tables/zh_nospace.jsonl": sentences(""),
    "tables/zh_space.jsonl": sentences(" "),
    "questions/gzero.jsonl": jsonl([row | {"group": i // 4} for i, row in enumerate(asked())]),
    "questions/samegroup.jsonl": jsonl(asked(group="g")),
    "questions/ls.jsonl": jsonl([row | {"question": f"{row['question']}\u2028?"} for row in asked()]),
    "questions/ownidx.csv": ",question,A,B,answer\n"
    + "".join(f"{i},Is {i} even?,yes,no,{'AB'[i % 2]}\n" for i in range(8)),
    "questions/one_object.json": json.dumps(asked()[0]),
}


def check_numtext(path: Path) -> None:
    assert all(len(text) == 4 and text.isdecimal() for text in read_table(path).texts)
    assert "0001" in read_table(path).texts


def check_nan3(path: Path) -> None:
    with pytest.raises(DataError, match=r"'label' is ('NaN'|empty)"):
        read_table(path)
    data = read_table(path, bad_rows="drop")
    assert data.classes == ["0", "1"]
    assert data.dropped


def check_bom(path: Path) -> None:
    assert read_table(path).classes == ["neg", "pos"]


def check_script(path: Path) -> None:
    data = read_table(path)
    design = make_design(data, ProbeSpec(repeats=1, shuffles=20), 0)
    assert surface_baseline(design, [1] * len(data.items)).values["accuracy"] > 0.95


def check_gzero(path: Path) -> None:
    groups = [question.group for question in read_questions(str(path)).items]
    assert groups.count("0") > 1
    assert len(set(groups)) > 1


def check_samegroup(path: Path) -> None:
    assert len({question.group for question in read_questions(str(path)).items}) == 1


def check_ls(path: Path) -> None:
    assert any("\u2028" in question.text for question in read_questions(str(path)).items)


def check_ownidx(path: Path) -> None:
    data = read_questions(str(path))
    assert (data.language, data.level) == ("en", "ownidx")
    assert all(len(question.choices) >= 2 for question in data.items)


def check_one_object(path: Path) -> None:
    assert len(read_questions(str(path)).items) in (1, 2)  # an object is one question, or a relation with its samples


CHECKS: dict[str, Callable[[Path], None]] = {
    "tables/numtext.csv": check_numtext,
    "tables/nan3.csv": check_nan3,
    "tables/bom.jsonl": check_bom,
    "tables/zh_nospace.jsonl": check_script,
    "tables/zh_space.jsonl": check_script,
    "questions/gzero.jsonl": check_gzero,
    "questions/samegroup.jsonl": check_samegroup,
    "questions/ls.jsonl": check_ls,
    "questions/ownidx.csv": check_ownidx,
    "questions/one_object.json": check_one_object,
}


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_read_of_a_built_case(tmp_path, name):
    path = tmp_path / Path(name).name
    path.write_text(BUILT[name], encoding="utf-8")
    CHECKS[name](path)


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_read_of_a_kept_case(name):
    if not (CASES / name).is_file():
        pytest.skip("the cases are not here")
    CHECKS[name](CASES / name)
