"""Names that the study's files, tables and findings use, each defined once."""

from __future__ import annotations

from enum import StrEnum

from layeratlas.runs.published import Published

# The three segments, first to last.
SEGMENT_NAMES = LOCAL, INTERMEDIATE, GLOBAL = ("Local", "Intermediate", "Global")

# The methods for finding boundaries: the exact search over all signals, and the rule of the paper's first version.
EXACT, FIRST_VERSION = "exact", "v1"

CURVES_FILE, FINDINGS_FILE = "curves.parquet", "findings.parquet"
SEGMENTS_FILE = "segments.json"
BOUNDARY_DRAWS_FILE = "boundary_draws.parquet"
SIMILARITY_FILE = "similarity.parquet"
BRITTLENESS_FILE = "brittleness.parquet"
INTERVENTIONS_FILE = "interventions.parquet"
DROPPED_FILE = "dropped.parquet"
INFORMATION_FILE = "information.parquet"
ATTENTION_FILE = "attention.parquet"
GENERATED_FILE = "generated.parquet"
GENERATED_TEXTS_FILE = "generated_texts.parquet"

PUBLISHED = Published(
    files=frozenset(
        (
            SEGMENTS_FILE,
            BOUNDARY_DRAWS_FILE,
            SIMILARITY_FILE,
            BRITTLENESS_FILE,
            INTERVENTIONS_FILE,
            DROPPED_FILE,
            INFORMATION_FILE,
            ATTENTION_FILE,
            GENERATED_FILE,
        )
    ),
    with_texts=(GENERATED_TEXTS_FILE,),
    records=frozenset(["segments", "brittleness", "dropping", "interventions", "generated"]),
    words=(
        *["spec.settings.noise", "spec.settings.edits", "spec.settings.method", "segments.missing.*"],
        *["brittleness.spec.noise", "interventions.edits.*"],
    ),
    quotes=("brittleness.missing", "dropping.missing", "generated.missing", "interventions.missing.*"),
)

# Levels and methods of tables and findings.
BOUNDARIES = "boundaries"
BRITTLENESS = "brittleness"
EVERY_LAYER = "every layer"
PASSAGES = "passages"
SKIP = "skip"
DECODING = "held-out decoding"


class SegmentFinding(StrEnum):
    """The kinds of findings."""

    EXISTENCE = "existence"
    BOUNDARY = "boundary"
    LAYER_ORDER = "order of layers"
    TRAINING = "boundaries from training"
    SIGNAL_LEFT_OUT = "one signal left out"
    TEXT_KINDS = "kinds of text"
    ATTENTION_KINDS = "attention by kind"
    SETTLE_DEPTH = "settle depth"
    QUADRATIC_REGIME = "quadratic regime"
    ADDITIVITY = "additivity"
    BRITTLENESS = "brittleness"
    ENDS = "ends against middle"
    GENERATED_TEXT = "generated text"
    DROPPING = "dropping blocks"
    BOTTLENECK = "information bottleneck"
    REACH = "information from afar"


def readable(name: str) -> str:
    """Return a signal's code as words: `cka_step` as `cka step`."""
    return name.replace("_", " ")
