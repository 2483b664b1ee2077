"""Does the first exit merely choose the fewest tokens?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import MARGIN, ROUNDING
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.verdicts import Effect, bootstrapped
from layeratlas.studies.exits.findings.statements import share_with_span, with_span
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.names import ALL, ExitFinding
from layeratlas.studies.exits.scores import Rule, ScoredSet

# The fewest questions, with choices that differ in tokens, that are reported.
FEWEST_QUESTIONS = 10


@dataclass(frozen=True, kw_only=True)
class TokenChoices:
    """How often exit 1 and random choice pick the fewest tokens, for n questions whose choices differ in token count.

    `fewest`, `blind` (n,): the probability that exit 1, or random choice, picks a choice with the fewest tokens (exit 1
    splits ties evenly). `right`, `rule_right` (n,): the credit of exit 1, and of always choosing the fewest tokens.
    `groups`: the questions' groups.
    """

    fewest: Floats
    blind: Floats
    right: Floats
    rule_right: Floats
    groups: list[str]


@dataclass(frozen=True, kw_only=True)
class TokenEffects:
    """The means of `TokenChoices` with their intervals.

    `lead` is how much more often exit 1 picks the fewest tokens than random choice does; `beyond` is the accuracy of
    exit 1 minus that of always choosing the fewest tokens.
    """

    fewest: Effect
    blind: float
    right: Effect
    rule_right: float
    lead: Effect
    beyond: Effect
    n: int


def token_count_finding(
    sets: Sequence[ScoredSet], resampler: Resampler, method: str, readout_note: str
) -> Finding | None:
    """Return whether exit 1 chooses the fewest tokens, by the summed score, more often than blind choice does.

    `method` is the score under which the finding is listed. None if exit 1 was not read out, or if the choices of fewer
    than ten questions differ in tokens.
    """
    if any(scored.place_of_exit_1 is None for scored in sets):
        return None
    effects = _effects(_joined([token_choices(scored) for scored in sets]), resampler)
    if effects is None:
        return None
    verdict = effects.lead.verdict(margin=MARGIN)
    summary = {
        "supported": "Exit 1 counts tokens",
        "not supported": f"Exit 1 does not count tokens (its lead over blind choice is below {MARGIN})",
        "inconclusive": f"Whether exit 1 counts tokens is undecided ({effects.lead.could_have_seen})",
    }[verdict]
    return curve_finding(
        ExitFinding.TOKEN_COUNT,
        Subject(level=ALL, component="resid", method=method, n=effects.n),
        statement=f"{summary}: by the summed score it chooses the fewest tokens in {share_with_span(effects.fewest)} "
        f"of the {effects.n} questions whose choices differ in tokens, blind choice in {effects.blind:.0%}"
        f"{readout_note}: {with_span(effects.lead)}. Its accuracy there is {share_with_span(effects.right)}; that of "
        f"always choosing the fewest tokens is {effects.rule_right:.0%} (ties shared), difference "
        f"{with_span(effects.beyond)}.",
        effect=effects.lead,
        null="exit 1 chooses the fewest tokens as often as blind choice",
        verdict=verdict,
    )


def token_choices(scored: ScoredSet) -> TokenChoices:
    """Return how exit 1 of a set treats the number of tokens, over the questions whose choices differ in it."""
    first = scored.place_of_exit_1 or 0
    sums, tokens, exists = scored.scores("sum")[first], scored.rule_scores(Rule.FEWEST_TOKENS), scored.key.exists
    fewest, best = (values == values.max(1, keepdims=True) for values in (tokens, sums))
    differ = fewest.sum(1) < exists.sum(1)
    return TokenChoices(
        fewest=((fewest & best).sum(1) / best.sum(1))[differ],
        blind=(fewest.sum(1) / exists.sum(1))[differ],
        right=accuracy(sums, scored.key, False)[differ],
        rule_right=accuracy(tokens, scored.key, False)[differ],
        groups=[group for group, kept in zip(scored.groups, differ, strict=True) if kept],
    )


def _joined(choices_by_set: Sequence[TokenChoices]) -> TokenChoices:
    return TokenChoices(
        fewest=np.concatenate([choices.fewest for choices in choices_by_set]),
        blind=np.concatenate([choices.blind for choices in choices_by_set]),
        right=np.concatenate([choices.right for choices in choices_by_set]),
        rule_right=np.concatenate([choices.rule_right for choices in choices_by_set]),
        groups=[group for choices in choices_by_set for group in choices.groups],
    )


def _effects(choices: TokenChoices, resampler: Resampler) -> TokenEffects | None:
    """Return means and intervals over resampled groups; None for too few questions."""
    if len(choices.groups) < FEWEST_QUESTIONS:
        return None
    weights, n_groups = resampler.weights(choices.groups), len(set(choices.groups))
    each = np.stack([choices.fewest, choices.blind, choices.right, choices.rule_right], 1)
    means = weights @ each / np.maximum(weights.sum(1, keepdims=True), ROUNDING)
    fewest, blind, right, rule_right = means.T

    def effect(values: Floats, least: float) -> Effect:
        sample = split_draws(values, resampler)
        return bootstrapped(float(sample.estimate), sample.draws, n_groups, least=least, most=1.0)

    return TokenEffects(
        fewest=effect(fewest, 0.0),
        blind=float(blind[0]),
        right=effect(right, 0.0),
        rule_right=float(rule_right[0]),
        lead=effect(fewest - blind, -1.0),
        beyond=effect(right - rule_right, -1.0),
        n=len(choices.groups),
    )
