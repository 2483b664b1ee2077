"""What a segments run did, in words: the methods of its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layeratlas.studies.segments.measuring import Settings

_CUTS = (
    "Each signal is centred on its median over blocks, divided by 1.4826 times the median deviation and clipped at 3; "
    "signals of a group (attention, geometry, information, prediction) are averaged, so that no group counts twice. "
    "Two cuts of least squared error, by exact search, each stretch at least max(2, 0.08 L) blocks. {draws} draws of "
    "the passages give the 90 % intervals."
)
_EXISTENCE = (
    "{surrogates} surrogates without boundaries, which have each signal's cubic trend, size of residuals and "
    "first-order autocorrelation and the signals' correlations, are cut in the same way; p is the share whose two "
    "cuts leave no more of the variation. Prominent means p < 0.05 and 90 % intervals of at most 0.15 of the depth."
)


def methods(run: Mapping[str, Any], own: Settings) -> list[tuple[str, str]]:
    """Return what was done as (heading, plain text), from the run's manifest and settings."""
    done = run.get("segments", {})
    missing = ", ".join(name.replace("_", " ") for name in done.get("missing", []))
    lacking = f" Not measured, because the model gave no attention maps or no finite values: {missing}."
    v1 = " The cuts shown are those of the first version's rule instead." if own.method == "v1" else ""
    return [
        (
            "Passages",
            f"{done.get('passages', 0)} passages of {done.get('tokens', 0)} tokens, without padding; the first "
            "position is left out of every number. States are those of the residual stream before the final norm.",
        ),
        (
            "Signals",
            "Computed passage by passage and averaged; 95 % intervals by resampling passages (for metrics of the "
            "whole set, by leaving out a tenth of the passages in turn). They hold for other such passages, not "
            f"for other models.{lacking if missing else ''}",
        ),
        ("Cuts", _CUTS.format(draws=own.draws) + v1),
        ("Existence", _EXISTENCE.format(surrogates=own.surrogates)),
        ("Brittleness", _brittleness(run.get("brittleness", {}))),
        ("Interventions", _interventions(run.get("interventions", {}))),
        ("Generated text", _generated(run.get("generated", {}))),
        (
            "Random weights",
            f"{done.get('untrained', 0)} passages in a model of the same architecture with initial weights."
            if done.get("untrained")
            else "No random-weight model was measured (size quick, --set untrained=0, or no memory for it).",
        ),
    ]


def _brittleness(noise: Mapping[str, Any]) -> str:
    if "spec" not in noise:
        return f"Not measured: {noise.get('missing', 'not asked for')}."
    absolute = noise["spec"].get("noise") == "absolute noise"
    size = "in the stream's own units" if absolute else "relative to the stream's size at each token"
    scale = " It depends on the stream's scale: it compares neither models nor layers whose streams differ in size."
    return (
        f"Noise of a standard deviation {size}, of equal total variance in every stretch; teacher-forced KL of the "
        f"model's predictions over {noise.get('passages', 0)} passages, over the squared strength."
        f"{scale if absolute else ''} Bootstrap over passages; random stretches of the same width as control."
    )


def _interventions(made: Mapping[str, Any]) -> str:
    if not made.get("edits"):
        return "None were made."
    left = "".join(f" Not made: {name} ({why})." for name, why in made.get("missing", {}).items())
    return (
        f"{'; '.join(made['edits'])}: each in every block of a stretch at once, position 0 left as it is, over "
        f"{made['passages']} passages, beside another stretch of the same shape, the one that shares the fewest blocks "
        "with it (four of them at size full); intervals are over passages, not over stretches. Translations "
        f"go in one random direction, at strength 1 as far as the component is large; means are those of these "
        f"passages.{left}"
    )


def _generated(made: Mapping[str, Any]) -> str:
    if "prompts" not in made:
        return f"None: {made.get('missing', 'not asked for (--set generate=true)')}."
    return (
        f"{made['prompts']} prompts of {made['prompt tokens']} tokens, continued greedily by at most "
        f"{made['new tokens']} tokens with and without each intervention. Wilcoxon signed-rank tests over prompts, "
        "Holm over all, rank-biserial effects."
    )
