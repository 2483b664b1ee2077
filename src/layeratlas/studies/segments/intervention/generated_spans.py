"""Generated text under interventions on stretches of layers, beside the same on other stretches and beside none.

Published claims of the first version of arXiv 2505.18244 are of this kind: perturbing local layers changes the choice
of words, intermediate ones the sentences, global ones the coherence. The measures are those of `generated`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.segments.intervention.generated import MEASURES, compare_texts, signed_rank

Key = tuple[str, str]
_BOOTSTRAP = 1000
# Stretch, the measure that the first version ties to it, and its words: chosen before any result was seen.
_CLAIMED = (
    ("Local", "distinct-2", "the choice of words (distinct-2)"),
    ("Intermediate", "words a sentence", "the length of sentences"),
    ("Global", "adjacent bag-of-words cosine", "the likeness of neighbouring sentences"),
)


def generated_rows(
    clean: Sequence[str], edited: Mapping[Key, Sequence[str]], controls: Mapping[Key, Sequence[str]], seed: int = 0
) -> list[dict[str, Any]]:
    """Return a row for each (intervention, stretch) and measure, all texts in the same order of prompts.

    `effect` is the rank-biserial correlation with the unperturbed texts, `p` its test, Holm over all rows; `control`
    and what begins with it are the same of another stretch of that width (not a number where none fits).
    """
    own = compare_texts(clean, {str(i): texts for i, texts in enumerate(edited.values())}, _BOOTSTRAP, seed)
    keys = list(edited)
    there = [key for key in keys if key in controls]
    other = compare_texts(clean, {str(keys.index(key)): controls[key] for key in there}, _BOOTSTRAP, seed)
    beside = {(c.edit, c.measure): c for c in other}
    rows = []
    for c in own:
        key, nan = keys[int(c.edit)], float("nan")
        near = beside.get((c.edit, c.measure))
        values = {text: _values(texts, c.measure) for text, texts in (("clean", clean), ("edited", edited[key]))}
        row: dict[str, Any] = {"edit": key[0], "span": key[1], "measure": c.measure}
        if near:
            values["control"] = _values(controls[key], c.measure)
        for name in ("clean", "edited", "control"):
            mean = _mean(values[name], seed) if name in values else (nan, nan, nan)
            row |= dict(zip((name, f"{name}_lo", f"{name}_hi"), mean, strict=True))
        row |= {"effect": c.effect, "effect_lo": c.lo, "effect_hi": c.hi, "p": c.p}
        row |= {f"control_{k}": getattr(near, k) if near else nan for k in ("effect", "p")}
        rows.append(row | {"n": c.n})
    return rows


def _values(texts: Sequence[str], measure: str) -> Floats:
    return np.array([MEASURES[measure](text) for text in texts])


def _mean(values: Floats, seed: int) -> tuple[float, float, float]:
    """Return the mean over the prompts that have a value, with its 95 % bootstrap interval."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    drawn = values[np.random.default_rng([seed, 41]).integers(0, len(values), (_BOOTSTRAP, len(values)))].mean(1)
    lo, hi = np.percentile(drawn, [2.5, 97.5])
    return float(values.mean()), float(lo), float(hi)


def generated_span_findings(
    clean: Sequence[str], edited: Mapping[Key, Sequence[str]], controls: Mapping[Key, Sequence[str]], seed: int = 0
) -> list[Finding]:
    """Return three findings: does each stretch act on the property tied to it more than another stretch does?

    Per prompt, how far the measure moves from the unperturbed text under an intervention on the stretch, less how far
    it moves under the same on one other stretch of its width, mean over interventions; signed ranks over prompts, so
    that a difference tells two stretches apart and says nothing of all others.
    """
    made = []
    for span, measure, words in _CLAIMED:
        keys = [key for key in edited if key[1] == span and key in controls]
        gaps = _beyond(clean, [(edited[key], controls[key]) for key in keys], measure) if keys else np.zeros(0)
        if len(gaps):  # a stretch without a random one, or texts of one sentence, can be held against nothing
            made.append((span, measure, words, len(keys), gaps))
    ps = holm([signed_rank(gaps) for *_, gaps in made])
    return [_finding(row, p, len(made), seed) for row, p in zip(made, ps, strict=True)]


def _beyond(clean: Sequence[str], pairs: Sequence[tuple[Sequence[str], Sequence[str]]], measure: str) -> Floats:
    before = _values(clean, measure)
    moved = [np.abs(_values(own, measure) - before) - np.abs(_values(other, measure) - before) for own, other in pairs]
    there = np.isfinite(moved)
    total = np.where(there, moved, 0.0).sum(0)
    known = there.any(0)
    gaps: Floats = total[known] / there.sum(0)[known]
    return gaps


def _finding(row: tuple[str, str, str, int, Floats], p: float, tests: int, seed: int) -> Finding:
    span, measure, words, edits, gaps = row
    value, lo, hi = _mean(gaps, seed)
    more = p <= 0.05 and value > 0
    # The smallest p that so many prompts can give, after the correction.
    reach = tests * 2.0 ** (1 - len(gaps)) <= 0.05
    verdict: Verdict = "supported" if more else "not supported" if p <= 0.05 else "inconclusive"
    says = {
        "supported": "more than interventions on one other stretch of its width",
        "not supported": "less than interventions on one other stretch of its width",
        "inconclusive": "not clearly more than interventions on one other stretch of its width" if reach
        else f"by an amount that {len(gaps)} prompts cannot judge",
    }[verdict]  # fmt: skip
    text = (
        f"Interventions on the {span} stretch change {words} of generated text {says}: {value:+.3f} "
        f"[{lo:+.3f}, {hi:+.3f}] further from the unperturbed text, mean of {edits} interventions."
    )
    null = f"the same interventions on one other stretch of its width, Wilcoxon signed-rank, Holm over {tests}"
    return Finding("generated text", span, "resid", measure, text, value, lo, hi, p, null, verdict, len(gaps))
