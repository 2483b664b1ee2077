"""All published claims, judged on finished runs."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from layeratlas.core import registry
from layeratlas.runs.claim import judgement_table
from layeratlas.runs.finished import FinishedRun


def judge_claims(runs: Sequence[FinishedRun]) -> pl.DataFrame:
    """Return one row per known claim, judged on runs of any studies and models (see `runs.claim.judgement_table`)."""
    return judgement_table([registry.get("claims", name) for name in registry.names("claims")], runs)
