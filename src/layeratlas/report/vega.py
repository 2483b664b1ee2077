"""Charts as plain Vega-Lite specs, written with the names and arguments of Altair.

Altair copies a chart with all its contents at each addition, and validates it against the whole schema, which took most
of a report's time. Here nothing is changed in place, so nothing is copied; the tests validate the specs against
Altair's schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# A test compares both constants with those of the installed Altair.
VERSION = "6.4"
SCHEMA_URL = "https://vega.github.io/schema/vega-lite/v6.4.1.json"
_TYPES = {"Q": "quantitative", "N": "nominal", "O": "ordinal"}
# Channels that take the type of another channel.
_SECOND = ("x2", "y2")

Spec = dict[str, Any]


def _options(**options: Any) -> Spec:
    return options


Axis = AutoSizeParams = Legend = OverlayMarkDef = Scale = _options


def _channel(shorthand: str, **options: Any) -> Spec:
    """Return the encoding of a field such as `depth:Q`, with its options."""
    name, _, kind = shorthand.partition(":")
    return {"field": name, "type": _TYPES[kind], **options}


Color = Column = Facet = Fill = Href = Opacity = Row = Shape = Size = StrokeDash = Tooltip = X = Y = YOffset = _channel


def TitleParams(text: str, **options: Any) -> Spec:  # noqa: N802
    """Return a title with its options."""
    return {"text": text, **options}


def Data(values: Sequence[Mapping[str, Any]]) -> Spec:  # noqa: N802
    """Return rows as the data of a chart."""
    return {"values": list(values)}


def NamedData(name: str) -> Spec:  # noqa: N802
    """Return named data, which the page or the writer of a figure supplies."""
    return {"name": name}


def ExprRef(text: str) -> Spec:  # noqa: N802
    """Return a value that Vega computes."""
    return {"expr": text}


def Step(pixels: float) -> Spec:  # noqa: N802
    """Return a size by the number of rows."""
    return {"step": pixels}


def value(constant: Any) -> Spec:
    """Return the encoding of a constant."""
    return {"value": constant}


def param(name: str, value: Any) -> Spec:
    """Return a signal with its first value."""
    return {"name": name, "value": value}


def selection_point(name: str, **options: Any) -> Spec:
    """Return a selection of points."""
    return {"name": name, "select": {"type": "point", **options}}


@dataclass(frozen=True)
class Chart:
    """A chart, or several in one; each method returns a new chart."""

    spec: Spec = field(default_factory=dict)

    def properties(self, **properties: Any) -> Chart:
        """Set width, height, title and the like."""
        return Chart({**self.spec, **properties})

    def _mark(self, kind: str, options: Spec) -> Chart:
        return self.properties(mark={"type": kind, **options})

    def mark_area(self, **options: Any) -> Chart:
        """Draw areas."""
        return self._mark("area", options)

    def mark_bar(self, **options: Any) -> Chart:
        """Draw bars."""
        return self._mark("bar", options)

    def mark_circle(self, **options: Any) -> Chart:
        """Draw circles."""
        return self._mark("circle", options)

    def mark_line(self, **options: Any) -> Chart:
        """Draw lines."""
        return self._mark("line", options)

    def mark_point(self, **options: Any) -> Chart:
        """Draw points."""
        return self._mark("point", options)

    def mark_rect(self, **options: Any) -> Chart:
        """Draw rects."""
        return self._mark("rect", options)

    def mark_rule(self, **options: Any) -> Chart:
        """Draw rules."""
        return self._mark("rule", options)

    def mark_text(self, **options: Any) -> Chart:
        """Draw texts."""
        return self._mark("text", options)

    def encode(self, **channels: Any) -> Chart:
        """Add encodings: a field such as `depth:Q`, one with options, a constant, or a list of tooltips."""
        added = {name: _encoded(name, channel) for name, channel in channels.items()}
        return self.properties(encoding={**self.spec.get("encoding", {}), **added})

    def transform_filter(self, condition: str) -> Chart:
        """Keep the rows that meet a condition."""
        return self._transform({"filter": condition})

    def transform_calculate(self, **expressions: str) -> Chart:
        """Add columns."""
        return self._transform(*({"calculate": text, "as": name} for name, text in expressions.items()))

    def transform_aggregate(self, groupby: Sequence[str] = (), **aggregates: str) -> Chart:
        """Keep one row per group, with aggregates such as `mean(estimate)`."""
        parsed = {name: text.rstrip(")").partition("(") for name, text in aggregates.items()}
        steps = [{"op": op, "field": column, "as": name} for name, (op, _, column) in parsed.items()]
        return self._transform({"aggregate": steps, **({"groupby": list(groupby)} if groupby else {})})

    def _transform(self, *steps: Spec) -> Chart:
        return self.properties(transform=[*self.spec.get("transform", []), *steps])

    def add_params(self, *params: Spec) -> Chart:
        """Add signals and selections."""
        return self.properties(params=[*self.spec.get("params", []), *params]) if params else self

    def resolve_scale(self, **channels: str) -> Chart:
        """Say which scales the charts in this one share."""
        return self.properties(resolve={"scale": channels})

    def configure(self, **config: Any) -> Chart:
        """Set the look of the whole chart."""
        return self.properties(config=config)

    def facet(self, by: Spec, *, data: Spec, columns: int) -> Chart:
        """Return a chart of this kind for each value of a field."""
        return Chart({"data": data, "facet": by, "spec": self.spec, "columns": columns})

    def grid(self, row: Spec, column: Spec, *, data: Spec) -> Chart:
        """Return a chart of this kind for each pair of values of two fields."""
        return Chart({"data": data, "facet": {"row": row, "column": column}, "spec": self.spec})

    def to_dict(self) -> Spec:
        """Return the spec."""
        return {"$schema": SCHEMA_URL, **self.spec}


def chart(data: Spec) -> Chart:
    """Return a chart of some rows, without marks."""
    return Chart({"data": data})


def layer(*charts: Chart) -> Chart:
    """Return charts drawn over each other; data shared by all of them is written once."""
    specs = [part.spec for part in charts]
    data = specs[0].get("data")
    if data is None or any(spec.get("data") is not data for spec in specs):
        return Chart({"layer": specs})
    return Chart({"data": data, "layer": [{key: spec[key] for key in spec if key != "data"} for spec in specs]})


def vconcat(*charts: Chart, spacing: float) -> Chart:
    """Return charts one below the other."""
    return Chart({"vconcat": [part.spec for part in charts], "spacing": spacing})


def concat(*charts: Chart, columns: int, spacing: float) -> Chart:
    """Return charts side by side in some columns."""
    return Chart({"concat": [part.spec for part in charts], "columns": columns, "spacing": spacing})


def _encoded(name: str, channel: Any) -> Any:
    if name in _SECOND:
        return {"field": channel.partition(":")[0]}
    if isinstance(channel, list):
        return [_encoded(name, tip) for tip in channel]
    return _channel(channel) if isinstance(channel, str) else channel
