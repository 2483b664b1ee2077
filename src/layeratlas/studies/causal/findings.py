"""The findings of a causal run: is the level answered, is the decoded information used, and where is it not used?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.verdicts import Effect, Verdict, could_have_seen, decide
from layeratlas.studies.causal.effects import Cell, SetEffects, unused_point
from layeratlas.studies.causal.names import ERASE, STEER, CausalFinding

_SIGN_FLIPS = "exact sign flips of groups, Holm over points; the effect is that of the clearest point"


def causal_findings(sets: Sequence[SetEffects], words: Mapping[str, str]) -> list[Finding]:
    """Return the findings of every set; `words` are the names of levels."""
    findings = []
    for effects in sets:
        name = words.get(effects.level, effects.level)
        findings += [
            _answered(effects, name),
            _used(effects, name),
            *([_specific(effects, name)] if len(sets) > 1 else []),  # a single set has no other set to compare with
            _steered(effects, name),
            _unused(effects, name),
        ]
    return findings


def _finding(
    kind: CausalFinding, effects: SetEffects, effect: Effect, *, statement: str, null: str, verdict: Verdict
) -> Finding:
    method = STEER if kind is CausalFinding.STEERED else ERASE
    return curve_finding(
        kind,
        Subject(level=effects.level, component="resid", method=method, n=effects.n),
        statement=statement,
        effect=effect,
        null=null,
        verdict=verdict,
    )


def _answered(effects: SetEffects, name: str) -> Finding:
    effect = effects.answered
    verdict = effect.verdict()
    says = {
        "supported": "the model prefers the right answer",
        "not supported": "the model prefers wrong answers",
        "inconclusive": "the model is not shown to prefer the right answer, so no use can be shown",
    }[verdict]
    return _finding(
        CausalFinding.ANSWERED,
        effects,
        effect,
        statement=f"For {name}, {says}: log-odds {_span(effect)}, accuracy {effects.accuracy:.2f}.",
        null="log-odds of 0 (exact sign flips of groups)",
        verdict=verdict,
    )


def _used(effects: SetEffects, name: str) -> Finding:
    shown = [cell for cell in effects.cells if cell.verdict == "supported"]
    cell = _clearest(shown or effects.cells, lambda cell: cell.used)
    verdict: Verdict = cell.verdict
    if verdict == "not supported" and any(c.verdict != "not supported" for c in effects.cells):
        verdict = "inconclusive"
    says = {
        "supported": f"what the probe reads is used, at {_points([c.point for c in shown])}",
        "not supported": "what the probe reads is used at no point",
        "inconclusive": f"whether what the probe reads is used is undecided ({cell.used.could_have_seen} nats)",
    }[verdict]
    return _finding(
        CausalFinding.USED,
        effects,
        cell.used,
        statement=f"For {name}, {says}. Erasing it at point {cell.point} removes {cell.loss.estimate:.2f} of "
        f"{effects.answered.estimate:.2f} nats of log-odds, more than the controls do by {_span(cell.used)}.",
        null=f"no more loss than by directions of equal norm, random or of shuffled labels ({_SIGN_FLIPS})",
        verdict=verdict,
    )


def _specific(effects: SetEffects, name: str) -> Finding:
    cell = _clearest(effects.cells, lambda cell: cell.specific)
    verdict = cell.specific.verdict(margin=cell.margin)
    says = {
        "supported": "erasing it costs more than erasing another task's label",
        "not supported": "erasing it costs no more than erasing another task's label",
        "inconclusive": "whether erasing it costs more than erasing another task's label is undecided",
    }[verdict]
    return _finding(
        CausalFinding.SPECIFIC,
        effects,
        cell.specific,
        statement=f"For {name}, {says}: difference at point {cell.point} {_span(cell.specific)} nats.",
        null=f"no more loss than by another task's direction, of equal norm ({_SIGN_FLIPS})",
        verdict=verdict,
    )


def _steered(effects: SetEffects, name: str) -> Finding:
    shown = [cell for cell in effects.cells if cell.moves == "supported"]
    cell = _clearest(shown, lambda cell: cell.steered) if shown else max(effects.cells, key=_shift)
    verdict = decide(shown=bool(shown), refuted=all(cell.moves == "not supported" for cell in effects.cells))
    says = {
        "supported": f"steering at the last token moves the answers, at {_points([c.point for c in shown])}",
        "not supported": "steering at the last token moves the answers at no point by an amount that matters",
        "inconclusive": f"whether steering at the last token moves the answers is undecided "
        f"({could_have_seen(f'{cell.seen:.2f}')} nats)",
    }[verdict]
    return _finding(
        CausalFinding.STEERED,
        effects,
        cell.steered,
        statement=f"For {name}, {says}. At point {cell.point}, steering towards another class lowers the log-odds of "
        f"the right answer by {_span(cell.steered)} nats more than random directions do; less than "
        f"{cell.least:.2f} is too small to matter.",
        null=f"no more than random directions of equal norm and {cell.least:.2f} nats ({_SIGN_FLIPS})",
        verdict=verdict,
    )


def _shift(cell: Cell) -> float:
    return cell.steered.estimate


def _unused(effects: SetEffects, name: str) -> Finding:
    cell, p, verdict = unused_point(effects)
    says = {
        "supported": f"at point {cell.point} a probe reads it and the answers do not need it there",
        "not supported": f"wherever a probe is shown to read it, the answers need it, least at point {cell.point}",
        "inconclusive": "no point is shown where a probe reads it and the answers do not need it",
    }[verdict]
    effect = Effect(estimate=cell.used.estimate, lo=cell.used.lo, hi=cell.used.hi, p=p)
    gain = cell.reading.gain
    return _finding(
        CausalFinding.UNUSED,
        effects,
        effect,
        statement=f"For {name}, {says}: accuracy {gain.estimate + cell.reading.chance:.2f} (chance "
        f"{cell.reading.chance:.2f}), loss over its controls {_span(cell.used)} nats; less than "
        f"{cell.margin:.2f} is too small to matter.",
        null="chance, or a loss that matters (both must be ruled out; Holm over points)",
        verdict=verdict,
    )


def _clearest(cells: Sequence[Cell], effect_of: Callable[[Cell], Effect]) -> Cell:
    """Return the point with the smallest p of a positive effect; among ties, the one with the largest effect."""
    return min(
        cells,
        key=lambda cell: (effect_of(cell).estimate <= 0, effect_of(cell).p, -effect_of(cell).estimate),
    )


def _points(points: Sequence[int]) -> str:
    return f"point{'s' * (len(points) > 1)} {', '.join(map(str, points))}"


def _span(effect: Effect) -> str:
    return estimate(effect.estimate, effect.lo, effect.hi)
