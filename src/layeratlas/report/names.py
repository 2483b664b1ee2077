"""The words of a report for the codes of a run's tables, in reading order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from layeratlas.core.formatting import COMPONENTS
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.study import PROBED, Study, Words


@dataclass(frozen=True, kw_only=True)
class Names:
    """Words for codes: `study` is the study's name for its parts, the others map codes to words in reading order.

    A code without words is shown as it is.
    """

    study: Words = PROBED
    level: Mapping[str, str] = field(default_factory=dict)
    component: Mapping[str, str] = field(default_factory=lambda: COMPONENTS)
    method: Mapping[str, str] = field(default_factory=dict)
    metric: Mapping[str, str] = field(default_factory=dict)

    def by_kind(self) -> dict[str, Mapping[str, str]]:
        """Return the words for codes by kind: level, component, method and metric."""
        return {"level": self.level, "component": self.component, "method": self.method, "metric": self.metric}


def names_of(run: FinishedRun, study: Study | None) -> Names:
    """Return a run's names: from its manifest, or else from its study (runs of older versions), or else the codes."""
    return Names(
        study=study.words if study else PROBED,
        level=run.words("levels"),
        method=run.words("methods") or (study.method_names if study else {}),
        metric=run.words("metrics") or (study.metric_names if study else {}),
    )


def reading_order(codes: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return codes in the order of `known`, followed by unknown ones in order of occurrence."""
    places = {code: place for place, code in enumerate(known)}
    return sorted(codes, key=lambda code: places.get(code, len(places)))
