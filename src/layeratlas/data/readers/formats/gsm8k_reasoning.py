"""Wrong reasoning for GSM8K: one step of a worked solution uses another operation; all later calculations are right.

The published reasoning set (MPS-Rea of arXiv 2312.04333) was not released; this one imitates it with GSM8K's own steps.
"""

from __future__ import annotations

import ast
import operator
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache

from layeratlas.core.errors import DataError
from layeratlas.data.choices import arrange, positions
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import WRONG, Parse, make
from layeratlas.data.readers.row import Row

_STEP = re.compile(r"<<([^<>=]+)=([^<>=]*)>>")
_NUMBER = re.compile(r"(?<![\d.,])(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?![\d]|[.,]\d)")
_PAIR = re.compile(r"\s*([\d.]+)\s*([-+*/])\s*([\d.]+)\s*")
# The signs with which solutions write an operation.
_SIGNS = {"+": r"\+", "-": "[-–−]", "*": "[*xX×]", "/": "[/÷]"}
_DOES: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_DECIMALS = 2


def gsm8k(rows: Sequence[Row]) -> Parse:
    """Parse problem and worked solution; each wrong solution has one wrong step and a different answer."""
    standing = positions(WRONG + 1, "gsm8k-reasoning")

    def parse(row: Row) -> Question:
        wrong = wrong_paths(row.text("question"), row.text("answer"))
        if len(wrong) < WRONG:
            raise DataError(
                f"{row.where} has {len(wrong)} steps or operations to change", f"{WRONG} wrong solutions", "drop it"
            )
        solution, _, final = row.text("answer").rpartition("####")
        choices, answers = arrange(_said(solution), wrong, next(standing))
        return replace(make(row, row.text("question"), choices, answers), final=_plain(final.strip()))

    return parse


@cache
def wrong_paths(question: str, answer: str) -> list[str]:
    """Return at most WRONG wrong solutions with different answers; fewer if the steps allow no more."""
    solution, _, final = (text.strip() for text in answer.rpartition("####"))
    steps = list(_STEP.finditer(solution))
    turns = [(i, sign) for i, step in enumerate(steps) if _PAIR.fullmatch(step[1]) for sign in _SIGNS]
    random.Random(f"gsm8k-reasoning-{question}").shuffle(turns)
    solutions: dict[str, str] = {_plain(final): ""}
    for i, sign in turns:
        turned = _turned(solution, steps, i, sign, _plain(final))
        if turned and turned[0] not in solutions:
            solutions[turned[0]] = turned[1]
    return list(solutions.values())[1 : 1 + WRONG]


def _turned(solution: str, steps: Sequence[re.Match[str]], turn: int, sign: str, final: str) -> tuple[str, str] | None:
    """Return the answer and the solution with another sign in one step; None if later steps cannot be recomputed."""
    changed: dict[str, str] = {}
    out, at = "", 0
    for i, step in enumerate(steps):
        before, term, result = _renamed(solution[at : step.start()], changed), _renamed(step[1], changed), step[2]
        if i == turn:
            a, old, b = (group or "" for group in _PAIR.fullmatch(term).groups())  # type: ignore[union-attr]
            shown = list(re.finditer(rf"{re.escape(a)}(\s*\$?\s*){_SIGNS[old]}(\s*\$?\s*){re.escape(b)}", before))
            if old == sign or not shown:
                return None
            last = shown[-1]
            new = f"{a}{last[1]}{_style(solution, sign)}{last[2]}{b}"
            before, term = before[: last.start()] + new + before[last.end() :], f"{a}{sign}{b}"
        value = _value(term)
        stated = _NUMBER.match(solution, step.end())
        if value is None or stated is None or _value(step[1]) is None or _plain(stated[0]) != _plain(result):
            return None
        if value != _plain(result):
            changed[_plain(result)] = value
        out, at = out + before + (value if value != _plain(result) else stated[0]), stated.end()
    answer = changed.get(final, final)
    return (answer, _said(out + _renamed(solution[at:], changed))) if answer != final else None


def _style(solution: str, sign: str) -> str:
    """Return the sign with which a solution writes an operation; other signs would reveal the wrong solutions."""
    match = re.search(rf"[\d.]\s*\$?({_SIGNS[sign]})\s*\$?[\d.]", _STEP.sub("", solution))
    return match[1] if match else sign


def _renamed(text: str, changed: dict[str, str]) -> str:
    """Return a text with the changed numbers replaced."""
    return _NUMBER.sub(lambda number: changed.get(_plain(number[0]), number[0]), text)


def _plain(number: str) -> str:
    """Return a number in the form of calculated results: no commas, no trailing zeros."""
    plain = number.strip().lstrip("$").replace(",", "")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"0{plain}" if plain.startswith(".") else plain


def _value(term: str) -> str | None:
    """Return the result of a calculation; None unless it is above 0 with at most two decimals."""
    try:
        value = _reckoned(ast.parse(term.replace(",", "").strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None
    cents = value * 10**_DECIMALS
    if value <= 0 or cents.denominator != 1:
        return None
    return _plain(f"{int(cents) // 10**_DECIMALS}.{int(cents) % 10**_DECIMALS:0{_DECIMALS}d}")


def _reckoned(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.BinOp) and type(node.op) in _DOES:
        return _DOES[type(node.op)](_reckoned(node.left), _reckoned(node.right))
    raise ValueError("no sum")


def _said(solution: str) -> str:
    return " ".join(_STEP.sub("", solution.strip()).split())
