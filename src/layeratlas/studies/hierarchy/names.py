"""The names of this study: kinds of findings, files, levels that are compared, and words for codes."""

from __future__ import annotations

from enum import StrEnum

from layeratlas.core import registry
from layeratlas.core.formatting import capitalised
from layeratlas.runs.published import Published

ACTIVATIONS = "activations"
CURVES = "curves.parquet"
FINDINGS = "findings.parquet"
PROFILES = "profiles.parquet"
EMERGENCE = "emergence.parquet"
ROBUSTNESS = "robustness.parquet"
LEARNING = "learning.parquet"
FORECASTS = "forecasts.parquet"
TRANSFER = "transfer.parquet"
POSITIONS = "positions.parquet"
EXPERTS = "experts.parquet"
EXPERT_USE = "expert_use.parquet"

PUBLISHED = Published(
    files=frozenset((PROFILES, EMERGENCE, ROBUSTNESS, LEARNING, FORECASTS, TRANSFER, POSITIONS, EXPERTS, EXPERT_USE)),
    records=frozenset(("left_out", "shuffles", "random_weights")),
    words=("left_out.*", "random_weights.*"),
)

# The task of a curve that is the mean over a level's tasks, and the stratum of a curve over all texts.
WHOLE = "all"


class HierarchyFinding(StrEnum):
    """The kinds of findings of the hierarchy study, as in the column `finding`."""

    PEAK = "peak"
    EMERGENCE = "emergence"
    EMERGENCE_ORDER = "emergence order"
    ORDER = "order"
    DECLINE = "decline"
    SURFACE = "surface"
    RANDOM_WEIGHTS = "random weights"
    SECOND_PEAK = "second peak"
    DEEP_CONTENT = "deep content"
    DEEP_COMPRESSION = "deep compression"
    DEEP_DOCUMENTS = "deep documents"
    COORDINATION = "coordination"
    ANTI_PERSISTENCE = "anti-persistence"
    TRANSFER = "transfer"
    EARLIER_PLACE = "earlier place"
    EXPERTS = "experts"


HEADLINES = (
    HierarchyFinding.EMERGENCE_ORDER,
    HierarchyFinding.EMERGENCE,
    HierarchyFinding.PEAK,
    HierarchyFinding.ORDER,
    HierarchyFinding.DEEP_CONTENT,
    HierarchyFinding.DEEP_COMPRESSION,
    HierarchyFinding.COORDINATION,
    HierarchyFinding.SECOND_PEAK,
)
DETAILS = (
    HierarchyFinding.DECLINE,
    HierarchyFinding.SURFACE,
    HierarchyFinding.RANDOM_WEIGHTS,
    HierarchyFinding.SECOND_PEAK,
    HierarchyFinding.DEEP_DOCUMENTS,
    HierarchyFinding.ANTI_PERSISTENCE,
)

# The hierarchy that H1 claims, from shallow to deep. A run without these levels compares its levels in their given
# order.
HIERARCHY = ("item", "relation", "analogy")
# Name prefixes of levels that reuse the targets of other levels ("An apple"). Their estimates share sampling noise with
# those levels, which would look like coordination.
REUSED_TARGETS = ("buried", "graded item")
# Prefix of levels read after 100 words of filler; their labels are those of the level and tasks without the prefix.
BURIED = "buried"
BURIED_LEVELS = ("buried item", "buried relation", "buried analogy")

RESIDUAL = "resid"
COMPONENT_NAMES = {"resid": "the residual stream", "attn": "the attention output", "mlp": "the MLP output"}
# The probe of description lengths, and its measure.
CODE_PROBE, CODE_METRIC = "logistic", "compression"
# Names of measures in the middle of a sentence.
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "spearman": "Spearman correlation",
    "r2": "R²",
    CODE_METRIC: "compression (description length)",
}
METRIC_NAMES = {code: capitalised(words) for code, words in METRICS.items()}


def method_names() -> dict[str, str]:
    """Return the label of every installed probe, and of the probe of description lengths, by code."""
    probes = {name: registry.get("probes", name) for name in registry.names("probes")}
    return {name: probe.label or name for name, probe in probes.items()} | {CODE_PROBE: "Logistic regression"}


def items_file(name: str) -> str:
    """Return the file of a data set's items, in the run's folder."""
    return f"items/{name}.parquet"
