"""Names that the study's files, tables and findings use, each defined once."""

from __future__ import annotations

from enum import StrEnum

from layeratlas.runs.published import Published

TABLE_FILE = "causal.parquet"
PUBLISHED = Published(files=frozenset((TABLE_FILE,)), records=frozenset(("points",)))
# Methods of curves and findings.
PROBE, ERASE, STEER = "probe", "erase", "steer"
ACCURACY, LOG_ODDS = "accuracy", "log_odds"
METHOD_NAMES = {PROBE: "Linear probe", ERASE: "Erased", STEER: "Steered"}
METRIC_NAMES = {ACCURACY: "Accuracy", LOG_ODDS: "Log-odds lost (nats)"}


class CausalFinding(StrEnum):
    """The kinds of findings."""

    ANSWERED = "answered"
    USED = "used"
    SPECIFIC = "used specifically"
    STEERED = "steered"
    UNUSED = "encoded, not used"


class Edited(StrEnum):
    """The kinds of edits to the stream at one point."""

    ERASE = "erase"
    RANDOM = "random"
    SHUFFLED = "shuffled"
    OTHER = "other"
    STEER = "steer"
    STEER_RANDOM = "steer random"


def vectors_file(name: str) -> str:
    """Return the path, in the run's folder, of a set's vectors."""
    return f"vectors/{name}.safetensors"


def effects_file(name: str) -> str:
    """Return the path of the logits of a set's answers under every edit."""
    return f"effects/{name}.safetensors"
