"""Elements shared by the study's charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from layeratlas.report import vega
from layeratlas.studies.segments.names import SEGMENT_NAMES

# Maps a name of the page's palette to a colour.
Colour = Callable[[str], str]
# The palette name of each segment.
SEGMENT_HUES = dict(zip(SEGMENT_NAMES, ("series-1", "series-3", "series-2"), strict=True))
DEPTH = vega.Scale(domain=[0, 1], nice=False)


def data(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as the data of a chart."""
    return vega.Data(values=list(rows))
