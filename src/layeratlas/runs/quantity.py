"""A study's input to a comparison of models: single numbers of a run with their errors, and a model's segments."""

from __future__ import annotations

from dataclasses import dataclass

from layeratlas.stats.quantities import Quantity


@dataclass(frozen=True, kw_only=True)
class Place:
    """The identity of a quantity: its name, level (or segment), component, method and measure."""

    quantity: str
    level: str
    component: str
    method: str
    metric: str


@dataclass(frozen=True, kw_only=True)
class RunQuantity:
    """A number of one run on which models are compared.

    - `label`: its name in a sentence ("boundary 1", "brittleness of Local");
    - `paired`: whether draw i resamples the same texts in every run, so that differences are computed draw by draw;
    - `doubt`: why it may not be a property of the model ("no two boundaries were found"), or ''. A difference of
      doubtful quantities is inconclusive.
    """

    place: Place
    label: str
    value: Quantity
    paired: bool
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelSegment:
    """A contiguous range of layers, from `left` to `right` as fractions of depth."""

    name: str
    left: float
    right: float


# The meanings of marks: what a layer encodes is used there, or is shown not to be.
USED, UNUSED = "used", "not used"


@dataclass(frozen=True, kw_only=True)
class ModelMark:
    """A mark on the map, at one level and layer: its `meaning`, and its `size`, 0 to 1."""

    level: str
    layer: int
    depth: float
    meaning: str
    size: float
