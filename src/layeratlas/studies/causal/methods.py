"""The methods text of a run, written from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layeratlas.studies.causal.settings import CausalSettings


def methods(run: Mapping[str, Any], settings: CausalSettings) -> list[tuple[str, str]]:
    """Return what was done as (heading, text)."""
    points = ", ".join(map(str, run.get("points", [])))
    return [
        ("Prompts", _prompts(run)),
        (
            "Points",
            f"The residual stream at the last token of each prompt, at points {points} (point l is the output of block "
            "l - 1). Only that token is edited: later blocks may still read earlier tokens, so a loss measures what "
            f"the answer takes from this token at this point. {run.get('branching', '')}".strip()
            + ".",
        ),
        (
            "Encoded",
            "A ridge probe, out of fold; p: shuffled labels, the largest over points. Accuracy left: a probe on the "
            "erased vectors.",
        ),
        (
            "Erased",
            "Closed-form linear erasure (LEACE, Belrose et al. 2023, arXiv 2306.03819) with covariance shrinkage "
            "(Ledoit and Wolf 2004), fitted on the other folds of the set: no prompt is used to fit its own eraser.",
        ),
        (
            "Controls",
            f"For every prompt {settings.controls} random directions in which the texts vary, {settings.controls} "
            "erasers of shuffled labels, and the eraser of another task; each moves the vector as far as the erasure "
            "does. A loss counts as use where it exceeds both that of random directions and that of shuffled labels.",
        ),
        (
            "Steered",
            f"The vector from the mean of the prompt's class to that of the next one, times {settings.strength:g}, "
            "against random directions of equal norm, at the last token. A shift counts where it exceeds both "
            f"{settings.unused:.0%} of the unedited model's log-odds and {settings.unmoved:g} nats.",
        ),
        (
            "Loss",
            "Log-odds (nats) of the right answer against the others, at the first token in which they differ: the "
            "value without the edit minus the value with it. "
            f"A loss below {settings.unused:.0%} of the unedited model's log-odds is too small to matter.",
        ),
        (
            "Intervals and findings",
            "95 %, percentile bootstrap over groups, of the probe's accuracy by Wilson's formula, averaged over "
            "what the groups say of their design effect; p: exact sign flips of groups, Holm over the points of a set.",
        ),
    ]


def _prompts(run: Mapping[str, Any]) -> str:
    sets = run.get("datasets", [])
    # No example of the user's texts, which may be private.
    shown = not run.get("spec", {}).get("data")
    examples = [f" (“{data['example']}”)" if shown else "" for data in sets]
    listed = "; ".join(
        f"{data['name']} {data['n']}, of which {data['measured']} edited{example}"
        for data, example in zip(sets, examples, strict=True)
    )
    return (
        "Probes and erasers are fitted on all prompts; edits are measured on a subset with equal numbers of each "
        f"class: {listed}."
    )
