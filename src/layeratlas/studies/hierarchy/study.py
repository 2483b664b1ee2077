"""The functional hierarchy: at which depth are items, relations and analogies read best?

Re-implements the approach described in arXiv 2501.07359; stimuli, hyper-parameters and thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core import formatting as wording
from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ProbeSpec, RunSpec, Size
from layeratlas.data.items import Dataset
from layeratlas.data.readers.texts import read_table
from layeratlas.report.stage import report_stage
from layeratlas.runs.claims_exhibit import claims_exhibit
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import FINDING_COLUMNS, Finding
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.runs.tables import curve_table, write_table
from layeratlas.runs.workspace import StageFunction, Workspace
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy import probing
from layeratlas.studies.hierarchy.capturing import capture_stage
from layeratlas.studies.hierarchy.compression import compression_findings
from layeratlas.studies.hierarchy.coordination import coordination_findings
from layeratlas.studies.hierarchy.peaks import decline_finding, order_findings, peak_findings, surface_finding
from layeratlas.studies.hierarchy.profiles import second_peak_findings, z_scores

# The levels whose order is claimed; the user's own levels are compared in the order in which they are named.
_CHAIN = ("item", "relation", "analogy")
# Levels with targets of other levels ("An apple"): their curves would share estimation noise with those.
_SHARED = ("buried", "graded item")


class Hierarchy(Study):
    """Probes on six kinds of texts (or the user's own) at every layer and component."""

    summary = "at which depth are items, relations, analogies, grammar, documents (or your texts) read best?"
    settings = probing.ProbingSettings
    words = Words(
        origin="This re-implements the approach described in arXiv 2501.07359; stimuli, hyper-parameters and "
        "thresholds are ours."
    )
    tasks = ("items", "relations", "analogies", "grammar", "documents", "buried", "graded")

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the probe settings of a size: five repeats, as the paper's readers advise, where time allows."""
        return {
            "quick": ProbeSpec(repeats=1, shuffles=40),
            "standard": ProbeSpec(repeats=2, shuffles=100),
            "full": ProbeSpec(repeats=5, shuffles=200),
        }[size]

    def read(self, path: str) -> Dataset:
        """Return a file of labelled texts."""
        return read_table(path)

    def check(self, spec: RunSpec, settings: probing.ProbingSettings, material: Sequence[Dataset]) -> None:
        """Raise SpecError where no probe of the run can predict numbers that it is to predict."""
        probes = {name: registry.get("probes", name) for name in spec.probe.methods}
        for data in material:
            if data.kind == "number" and not any(probe.numbers for probe in probes.values()):
                raise SpecError(
                    f"{data.source or data.name} has numbers to predict, which {' and '.join(probes)} cannot",
                    "a probe for numbers",
                    "add --probe ridge",
                )

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the claims of the paper, judged on this run."""
        return [claims_exhibit(registry.claims_of("hierarchy"), folder)]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        spec = run["spec"]
        probe = spec["probe"]
        named = ", ".join(wording.word(wording.METHODS, m) for m in probe["methods"])
        pca = f", of which the first {probe['pca']} principal components are probed" if probe.get("pca") else ""
        shuffled = ", ".join(f"{wording.word(wording.METHODS, m)}: {n}" for m, n in run.get("shuffles", {}).items())
        return [
            (
                "Vectors",
                "Each text goes through the model once; its vector is read at position "
                f"“{spec['capture']['position']}” from the residual stream before each block and after the last one "
                "(before the final norm), and from what attention and MLP add to it. "
                f"{run.get('model', {}).get('bos', '')}.",
            ),
            (
                "Probes",
                f"{named}; features standardised on training folds{pca}; ridge penalty by leave-one-out on training "
                f"folds, SVM at C = {probe.get('svm_c', 1):g}.",
            ),
            (
                "Cross-validation",
                f"{probe['folds']} folds, {probe['repeats']} repeats; texts of one group never stand in training and "
                "testing at once.",
            ),
            (
                "Intervals",
                f"95 %, percentile bootstrap over groups ({wording.count(probe['bootstrap'])} draws) of out-of-fold "
                "scores. They hold for other groups of such texts, not for other models.",
            ),
            (
                "Control",
                f"Label shuffles ({shuffled}), within groups where a group holds several classes, through the same "
                "folds. Baseline: the best of three probes without the model, on words, on character n-grams and on "
                "numbers of characters, words and tokens.",
            ),
            (
                "Findings",
                "A peak's p-value compares it with the largest value of all layers and curves under shuffled labels "
                "(Westfall and Young 1993). Order compares the depths of two peaks over the bootstrap "
                "(Holm-corrected). A peak's value is chosen on one half of the groups and read on the other.",
            ),
        ]

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        return {
            "capture": capture_stage,
            "probe": probing.probe_stage,
            "analyse": _analyse,
            "report": report_stage(self),
        }


def _analyse(work: Workspace) -> list[str]:
    curves = probing.all_curves(work)
    write_table(work, "curves.parquet", curve_table(work, curves))
    findings = pl.DataFrame([asdict(f) for f in find(curves)])
    findings = findings.with_columns(
        model=pl.lit(work.manifest["model"]["name"]), study=pl.lit(work.spec.study)
    ).select(FINDING_COLUMNS)
    write_table(work, "findings.parquet", findings)
    write_table(work, "profiles.parquet", _profiles(curves))
    return ["curves.parquet", "findings.parquet", "profiles.parquet", write_draws(work.folder, curves)]


def _profiles(curves: Sequence[Curve]) -> pl.DataFrame:
    """Return z-scores over layers and their first and second differences, of every curve on all its texts."""
    parts = []
    for c in (c for c in curves if c.stratum == "all"):
        z = z_scores(c.estimate, c.component)
        first = len(c.estimate) - len(z)
        columns = {
            "level": c.level, "task": c.task, "component": c.component, "method": c.method, "metric": c.metric,
            "layer": np.arange(first, len(c.estimate)), "depth": c.depth[first:], "z": z,
            "difference": np.diff(z, prepend=np.nan), "second_difference": np.diff(z, n=2, prepend=[np.nan] * 2),
        }  # fmt: skip
        parts.append(pl.DataFrame(columns))
    return pl.concat(parts)


def find(curves: Sequence[Curve]) -> list[Finding]:
    """Return the findings on the level curves: peaks of each probe; then, of the first probe, the claims.

    Claims are the order of levels (H1), decline and surface, second peaks (H3), deep compression (H2) and
    coordination over the tasks (H4).
    """
    main: dict[tuple[str, str], str] = {}
    for c in curves:
        main.setdefault((c.level, c.component), c.metric)
    levels = [c for c in curves if c.task == "all" and c.metric == main[c.level, c.component]]
    first = levels[0].method
    out: list[Finding] = []
    for method in dict.fromkeys(c.method for c in levels):
        out += peak_findings([c for c in levels if c.method == method])
    for component in dict.fromkeys(c.component for c in levels):
        mine = [c for c in levels if c.component == component and c.method == first]
        found = {f.level for f in out if f.component == component and f.method == first and f.verdict == "supported"}
        chain = [c for c in mine if c.level in _CHAIN]
        out += order_findings(chain or mine, found)
        for curve in mine:
            if curve.level in found:
                out += [decline_finding(curve), surface_finding(curve)]
        out += second_peak_findings([c for c in mine if c.level in found])
        out += compression_findings(mine)
        tasks = [c for c in curves if c.task != "all" and c.stratum == "all" and c.level in found]
        same = [c for c in tasks if (c.component, c.method, c.metric) == (component, first, main[c.level, component])]
        out += coordination_findings([c for c in same if not c.level.startswith(_SHARED)])
    return out


PLUGIN = Hierarchy()
