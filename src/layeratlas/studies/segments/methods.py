"""The methods section of a segments run's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layeratlas.studies.segments.names import FIRST_VERSION, readable
from layeratlas.studies.segments.settings import SegmentSettings


def methods(run: Mapping[str, Any], settings: SegmentSettings) -> list[tuple[str, str]]:
    """Return the methods as (heading, plain text), from the run's manifest and settings."""
    measured = run.get("segments", {})
    return [
        ("Passages", _passages(measured)),
        ("Signals", _signals(measured)),
        ("Boundaries", _boundaries(settings)),
        ("Existence", _existence(settings)),
        ("Brittleness", _brittleness(run.get("brittleness", {}))),
        ("Information", _information(settings)),
        ("Interventions", _interventions(run.get("interventions", {}))),
        ("Generated text", _generated_text(run.get("generated", {}))),
        ("Random weights", _random_weights(measured)),
    ]


def _passages(measured: Mapping[str, Any]) -> str:
    return (
        f"{measured.get('passages', 0)} passages of {measured.get('tokens', 0)} tokens, without padding; the first "
        "position is excluded from every number. States are those of the residual stream before the final norm."
    )


def _signals(measured: Mapping[str, Any]) -> str:
    text = (
        "Computed per passage and averaged; 95 % intervals by resampling passages (for metrics of the whole set, by "
        "leaving out a tenth of the passages in turn). The intervals hold for other passages of this kind, not for "
        "other models."
    )
    missing = ", ".join(readable(name) for name in measured.get("missing", []))
    if missing:
        text += f" Not measured, because the model gave no attention maps or no finite values: {missing}."
    return text


def _boundaries(settings: SegmentSettings) -> str:
    text = (
        "Each signal is centred on its median over blocks, divided by 1.4826 times the median absolute deviation and "
        "clipped at 3; signals of one group (attention, geometry, information, prediction) are averaged, so that "
        "groups weigh the same. Two boundaries of least squared error, by exact search, each segment at least max(2, "
        f"0.08 L) blocks. 90 % intervals from {settings.draws} bootstrap draws of the passages."
    )
    if settings.method == FIRST_VERSION:
        text += " The boundaries shown are those of the first version's rule instead."
    return text


def _existence(settings: SegmentSettings) -> str:
    return (
        "From 8 blocks on, the first and the last block are left out. A boundary is sharp if more than half of the "
        "change across it happens between two neighbouring blocks (the jump between the lines on either side over the "
        "change; t-test with the noise about a line in each segment); its width is the change over the rate at the "
        f"boundary, in layers. {settings.surrogates} surrogates without boundaries have each signal's cubic trend, "
        "size of residuals and lag-1 autocorrelation, and the correlations between signals; as many have one boundary. "
        "Two boundaries exist if both are sharp and leave less of the variation than those of both kinds of surrogates "
        "(every p <= 0.05), and both 90 % intervals are at most 0.15 of the depth. They are refuted if one of them is "
        "shown to be smooth (p <= 0.05, corrected for two). Anything else is inconclusive."
    )


def _brittleness(record: Mapping[str, Any]) -> str:
    if "spec" not in record:
        return f"Not measured: {record.get('missing', 'not asked for')}."
    absolute = record["spec"].get("noise") == "absolute noise"
    size = "in the stream's own units" if absolute else "relative to the stream's size at each token"
    text = (
        f"Noise of a standard deviation {size}, of equal total variance in every segment; KL of the model's "
        f"predictions from the unperturbed ones on the passages' own text, over {record.get('passages', 0)} passages, "
        "over the squared strength. Bootstrap over passages; random spans of blocks of the same width as control."
    )
    if absolute:
        text += (
            " It depends on the stream's scale, so models or layers whose streams differ in size cannot be compared."
        )
    return text


def _information(settings: SegmentSettings) -> str:
    if not settings.information:
        return "Not measured (--set information=true)."
    return (
        "Tokens in 16 classes (the 15 commonest, all others) are decoded at every point by ridge regression, "
        "calibrated and tested on other passages; the bound in nats is the entropy of the classes less the cross "
        "entropy (Barber and Agakov 2003). Control: the token at the same place of another passage. Null: random "
        "weights. Intervals are over passages and over what the decoders were trained on, by the difference between "
        "two decoders of every position; they leave out that the random weights are drawn once."
    )


def _interventions(record: Mapping[str, Any]) -> str:
    if not record.get("edits"):
        return "None."
    missing = "".join(f" Not made: {name} ({why})." for name, why in record.get("missing", {}).items())
    return (
        f"{'; '.join(record['edits'])}: each in every block of a segment at once, except at position 0, over "
        f"{record['passages']} passages, and on another span of the same shape, the one that shares the fewest blocks "
        "with the segment (four of them at size full); intervals are over passages, not over spans. Translations go in "
        "one random direction, at strength 1 by the root mean square of the component; means are those of these "
        f"passages.{missing}"
    )


def _generated_text(record: Mapping[str, Any]) -> str:
    if "prompts" not in record:
        return f"None: {record.get('missing', 'not asked for (--set generate=true)')}."
    return (
        f"{record['prompts']} prompts of {record['prompt tokens']} tokens, continued greedily by at most "
        f"{record['new tokens']} tokens with and without each intervention. Wilcoxon signed-rank tests over prompts, "
        "Holm over all, rank-biserial effects."
    )


def _random_weights(measured: Mapping[str, Any]) -> str:
    if not measured.get("untrained"):
        return "No random-weight model was measured (size quick, --set untrained=0, or too little memory)."
    return f"{measured['untrained']} passages in a model of the same architecture with its initial random weights."
