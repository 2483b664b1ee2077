"""What a run may say of its segments: cuts, whether they exist, and what they depend on; each with its null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layeratlas.runs.finding import Finding
from layeratlas.stats.verdicts import Verdict

LEVEL = "boundaries"
METHOD = "passages"
_ALPHA = 0.05
_WIDEST = 0.15
_STEADY = 0.08
_NAN = float("nan")
_SURROGATES = (
    "smooth change (cubic trend) with autocorrelated noise in every signal, clipped and not, and the same with one "
    "boundary; the largest p"
)
_FEWEST = 8


def segment_findings(found: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of a run's `segments.json`."""
    made = [_existence(found), *(_boundary(found, i) for i in (0, 1)), _shuffled(found)]
    if found["untrained"]:
        made.append(_untrained(found))
    if found["leave_one_out"]:
        made.append(_left_out(found))
    if found["kinds"]:
        made.append(_kinds(found))
    return made


def _make(finding: str, statement: str, numbers: tuple[float, float, float, float], null: str, **rest: Any) -> Finding:
    estimate, lo, hi, p = numbers
    return Finding(finding, LEVEL, "resid", METHOD, statement, estimate, lo, hi, p, null, rest["verdict"], rest["n"])


def widths(found: Mapping[str, Any]) -> list[float]:
    """Return the width of each exact cut's 90 % interval as a fraction of depth."""
    return [(hi - lo) / found["blocks"] for lo, hi in found["exact"]["cut_ci"]]


def exists(found: Mapping[str, Any]) -> Verdict:
    """Return the verdict on P1.1, that there are two prominent boundaries.

    Of the exact cuts, whichever method the run shows: supported where they leave less cost than those of surrogates
    without boundaries and with one (p < 0.05) and each cut's 90 % interval is at most 0.15 of the depth; not supported
    where p >= 0.05; inconclusive where the cuts beat the surrogates and their place is unsure, or where there are
    fewer than eight passages to resample.
    """
    if found["existence"]["p"] >= _ALPHA:
        return "not supported"
    return "supported" if max(widths(found)) <= _WIDEST and found["passages"] >= _FEWEST else "inconclusive"


def _existence(found: Mapping[str, Any]) -> Finding:
    test, verdict = found["existence"], exists(found)
    said = {
        "supported": "Two boundaries stand out: cut there, the layers' signals fall into three stretches better than "
        "smooth signals do",
        "not supported": _missing(test, found["blocks"]),
        "inconclusive": "The signals are more stepped than smooth ones, but it is unsure where the two boundaries are"
        if found["passages"] >= _FEWEST
        else f"The signals are more stepped than smooth ones, but {found['passages']} passages cannot say where",
    }[verdict]
    note = f" ({len(found['signals'])} signals)"
    lo, _, hi = test["null_left"]
    said += f"{note}; two cuts leave {test['left']:.2f} of the variation, and {lo:.2f} to {hi:.2f} in smooth signals."
    return _make(
        "existence", said, (test["left"], _NAN, _NAN, test["p"]), _SURROGATES, verdict=verdict, n=found["passages"]
    )  # fmt: skip


def _missing(test: Mapping[str, Any], blocks: int) -> str:
    """Return which of the nulls the cuts do not beat."""
    if test["smooth_p"] >= _ALPHA:
        return "No two boundaries stand out: smooth signals without boundaries are cut in three as well"
    if test["unclipped_p"] >= _ALPHA:
        return (
            "No two boundaries stand out: the signals change steeply where they are cut, and look stepped only because "
            "large values are clipped"
        )
    at = f"before block {test['first']}, at {test['first'] / blocks:.2f} of the depth"
    return f"One boundary may stand out ({at}), and no second: signals with one are cut in three as well"


def _boundary(found: Mapping[str, Any], i: int) -> Finding:
    blocks, cut, (lo, hi) = found["blocks"], found["cuts"][i], found["cut_ci"][i]
    before, after = (found["segments"][j]["name"] for j in (i, i + 1))
    verdict = exists(found)
    hedge = "" if verdict == "supported" else "If there is one, the"
    where = f"block {cut}, at {cut / blocks:.2f} of the depth (90 % interval: block {lo} to {hi})"
    if found["method"] != "exact":  # the tests are of the exact cuts, wherever those are
        statement = f"By that rule the {after} stretch begins with {where}; no test says whether there is a boundary."
        return _make(
            "boundary", statement, (cut / blocks, lo / blocks, hi / blocks, _NAN), "none",
            verdict="inconclusive", n=found["passages"],
        )  # fmt: skip
    statement = f"{hedge or 'The'} {after} stretch begins with {where}; before it lies the {before} one."
    numbers = (cut / blocks, lo / blocks, hi / blocks, found["existence"]["p"])
    return _make("boundary", statement, numbers, _SURROGATES, verdict=verdict, n=found["passages"])


def _shuffled(found: Mapping[str, Any]) -> Finding:
    test = found["existence"]
    verdict: Verdict = "supported" if test["shuffled_p"] < _ALPHA else "not supported"
    said = "Neighbouring layers are more alike than layers in random order."
    if verdict == "not supported":
        said = "Layers in random order are cut in three as well: the signals show no order over depth."
    return _make(
        "order of layers", said, (test["left"], _NAN, _NAN, test["shuffled_p"]),
        "the same layers in random order", verdict=verdict, n=found["passages"],
    )  # fmt: skip


def _untrained(found: Mapping[str, Any]) -> Finding:
    other, own = found["untrained"], exists(found)
    cut = other["p"] < _ALPHA
    verdict: Verdict = "not supported" if cut else "supported" if own == "supported" else "inconclusive"
    places = " and ".join(str(b) for b in other["cuts"])
    bare = "random-weight model of the same architecture"
    if cut:
        said = f"A {bare} has boundaries too (at blocks {places}), so that they alone say nothing about training."
        if own == "not supported":
            said = f"A {bare} has boundaries (at blocks {places}) where the trained one shows none."
    elif own == "not supported":
        said = f"Neither the model nor a {bare} shows two boundaries."
    else:
        said = f"A {bare} shows no two boundaries."
    return _make(
        "boundaries from training", said, (other["left"], _NAN, _NAN, other["p"]),
        f"{_SURROGATES}; applied to the random-weight model", verdict=verdict, n=other["passages"],
    )  # fmt: skip


def _left_out(found: Mapping[str, Any]) -> Finding:
    cuts, blocks = found["exact"]["cuts"], found["blocks"]
    most = max(1, round(_STEADY * blocks))
    shifts = {name: max(abs(a - b) for a, b in zip(c, cuts, strict=True)) for name, c in found["leave_one_out"].items()}
    worst = max(shifts, key=lambda name: shifts[name])
    steady = shifts[worst] <= most
    far = f"{shifts[worst]} block{'s' * (shifts[worst] != 1)}"
    said = f"No cut hangs on one signal: leaving any one out moves them by at most {far}."
    if not steady:
        at = " and ".join(str(b) for b in found["leave_one_out"][worst])
        said = f"The cuts hang on {worst.replace('_', ' ')}: without it they are at blocks {at}."
    return _make(
        "one signal left out", said, (shifts[worst] / blocks, _NAN, _NAN, _NAN),
        f"a shift of more than {most} block{'s' * (most > 1)}, 0.08 of the depth (no test)",
        verdict="supported" if steady else "not supported", n=len(shifts),
    )  # fmt: skip


def _kinds(found: Mapping[str, Any]) -> Finding:
    kinds, blocks = found["kinds"], found["blocks"]
    one, two = kinds["compared"]
    a, b = (kinds["cuts"][name]["cuts"] for name in (one, two))
    shift = max(abs(x - y) for x, y in zip(a, b, strict=True))
    differ = kinds["p"] < _ALPHA
    places = f"{one} at blocks {a[0]} and {a[1]}, {two} at {b[0]} and {b[1]}"
    said = f"The cuts {'differ' if differ else 'do not differ'} between kinds of text ({places})."
    return _make(
        "kinds of text", said, (shift / blocks, _NAN, _NAN, kinds["p"]), "kinds shuffled among passages",
        verdict="supported" if differ else "not supported", n=found["passages"],
    )  # fmt: skip
