"""The methods text on ablations, written from a run's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def methods(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (heading, text) on what was ablated, or why nothing was; empty if no ablation was requested."""
    record = run.get("ablation")
    if not record:
        return []
    if "missing" in record:
        return [("Ablation", f"Requested, not done: {record['missing']}.")]
    questions = ", ".join(f"{name} {count}" for name, count in record["questions"].items())
    return [
        (
            "Ablation",
            f"{record['ablations']} ablations, each one pass over the first questions of each set (whole groups: "
            f"{questions}) after at most {record['shots']} worked examples, read at the last exit. A skipped block's "
            "output is its input; the output of attention or MLP is set to zero, or to its mean over these questions "
            "with their true choice. The first position, an attention sink, is left as it is. Change: ablated minus "
            "clean accuracy on the same questions.",
        )
    ]
