"""The words for levels, measures and layers in this study's statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layeratlas.stats.curves import Curve
from layeratlas.stats.peaks import Peak
from layeratlas.studies.hierarchy.names import METRICS


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """The words for the levels of a run, by code; a level without words is quoted.

    `levels` are plural nouns ("item properties"), as tasks declare them and `run.json` lists them.
    """

    levels: Mapping[str, str] = field(default_factory=dict)

    def level(self, level: str) -> str:
        """Return the words for a level in the middle of a sentence."""
        return self.levels.get(level, f"'{level}'")

    def does(self, level: str, verb: str) -> str:
        """Return a level as the subject of a regular verb, such as `items decode` or `level 'label' decodes`."""
        return f"{self.levels[level]} {verb}" if level in self.levels else f"level '{level}' {verb}s"


def measure(curve: Curve) -> str:
    """Return the name of a curve's measure in the middle of a sentence."""
    return METRICS.get(curve.metric, curve.metric)


def place(curve: Curve, peak: Peak) -> str:
    """Return where a curve peaks, such as `point 4 of 0-8 (3-5 within one standard error), depth 0.50`.

    The residual stream is measured at points between blocks, the outputs of sublayers per block.
    """
    unit = "point" if curve.component == "resid" else "block"
    equals = f" ({peak.first}-{peak.last} within one standard error)" if peak.first < peak.last else ""
    return f"{unit} {peak.layer} of 0-{len(curve.estimate) - 1}{equals}, depth {curve.depth[peak.layer]:.2f}"
