"""A fitted direction of one layer in the model's own coordinates: what it reads, and what to add to steer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import Edit
from layeratlas.core.errors import SpecError, unknown_name
from layeratlas.core.spec import Component

if TYPE_CHECKING:
    from layeratlas.probes import LinearProbeClassifier, LinearProbeRegressor


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a direction comes from: the model, the texts and the place in the model.

    `weights` are the SHA-256 of the model's files by name (empty for a hub model, which its revision identifies);
    `layer` is a point of `resid` (0 the embeddings) or a block of `attn` and `mlp`; `position` where each text was
    read; `method` the probe.
    """

    model: str
    model_id: str
    family: str
    revision: str | None
    weights: Mapping[str, str]
    layers: int
    task: str
    level: str
    component: Component
    layer: int
    position: str
    method: str

    @property
    def block(self) -> int:
        """The block whose output (of `resid`), attention or MLP the direction is in; -1 for the embeddings."""
        return self.layer - 1 if self.component == "resid" else self.layer

    @property
    def place(self) -> str:
        """The layer in words."""
        if self.component == "resid":
            return f"point {self.layer} of 0-{self.layers} of the residual stream"
        return f"the {'attention' if self.component == 'attn' else 'MLP'} output of block {self.layer}"


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well the direction decodes: the run's out-of-fold `metric` at this layer with its 95 % interval."""

    metric: str
    value: float
    lo: float
    hi: float
    chance: float
    n: int
    n_groups: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction:
    """A linear read-out of one layer and the vectors to steer with, in the model's own coordinates.

    For vectors h (d,) of the layer, `weight @ h + offset` are the scores: one for two classes (above 0 for
    `classes[1]`), one per class against the rest for more, the predicted number where `classes` is empty.

    - `weight` (k, d), `offset` (k,): fitted on all texts, without the probe's standardisation;
    - `scale` (k,): standard deviation of each score over the texts;
    - `means` (classes, d): the mean vector of each class; for numbers (1, d), the change of h per unit of the label
      (least squares); `counts` (classes,) texts of each class;
    - `typical_norm`: root mean square norm of the texts' vectors, to which a steering vector's norm can be compared.
    """

    source: Source
    quality: Quality
    classes: tuple[str, ...]
    weight: Floats
    offset: Floats
    scale: Floats
    means: Floats
    counts: tuple[int, ...]
    typical_norm: float

    def vector(self, to: str | None = None, versus: str | None = None) -> Floats:
        """Return the vector to add (d,): from the mean of a class to that of another.

        `to` is the class to steer to, by default the second of two; `versus` the one to come from, by default all
        others. Of numbers it is the change of h per unit. Differences of means steer better than the weights of a
        probe, which also undo correlated features (Marks and Tegmark 2023; Haufe et al. 2014). Raises SpecError for an
        unknown class, and where more than two classes leave `to` open.
        """
        if not self.classes:
            if to is not None or versus is not None:
                raise SpecError(f"'{self.source.task}' predicts numbers", "no class to steer to")
            return np.array(self.means[0])
        target = self._class(self._default_class() if to is None else to)
        others = [i for i in range(len(self.classes)) if i != target]
        if versus is not None:
            others = [self._class(versus)]
        if others == [target]:
            raise SpecError(f"steering from '{to}' to itself", "two different classes")
        counts = np.array(self.counts, float)[others]
        vector: Floats = self.means[target] - counts @ self.means[others] / counts.sum()
        return vector

    def _default_class(self) -> str:
        if len(self.classes) > 2:
            known = ", ".join(self.classes)
            raise SpecError(f"'{self.source.task}' has {len(self.classes)} classes", f"the one to steer to, of {known}")
        return self.classes[1]

    def _class(self, name: str) -> int:
        if name not in self.classes:
            raise unknown_name("class", name, self.classes)
        return self.classes.index(name)

    def edit(self, strength: float = 1.0, to: str | None = None, versus: str | None = None) -> Edit:
        """Return the edit that adds the vector, for `intervene`; strength 1 goes from one mean to the other."""
        vector = self.vector(to, versus)[None]
        return Edit("translate", (self.source.block,), self.source.component, strength=strength, vectors=vector)

    def estimator(self) -> LinearProbeClassifier | LinearProbeRegressor:
        """Return a fitted scikit-learn estimator whose `predict` takes vectors of the layer (n, d)."""
        from layeratlas.probes import LinearProbeClassifier, LinearProbeRegressor

        kind = LinearProbeClassifier if self.classes else LinearProbeRegressor
        model = kind(self.source.method)
        model.coef_, model.intercept_ = self.weight, self.offset
        model.n_features_in_ = self.weight.shape[1]
        if self.classes:
            model.classes_ = np.array(self.classes)
        return model

    def save(self, path: str | Path, to: str | None = None, versus: str | None = None) -> Path:
        """Write `NAME.safetensors` (everything) or `NAME.gguf` (a llama.cpp control vector), and return its path.

        A manifest is in the file and beside it, as `FILE.json`. `to` and `versus` choose the vector of a control
        vector. Raises SpecError for another suffix, and for a place that llama.cpp cannot steer.
        """
        from layeratlas.directions.files import save_direction

        return save_direction(self, Path(path), to, versus)

    @property
    def sign(self) -> str:
        """What a score above 0 means."""
        if not self.classes:
            return "the score is the predicted number"
        if len(self.classes) == 2:
            return f"a score above 0 means '{self.classes[1]}', below 0 '{self.classes[0]}'"
        return f"the largest score names the class: {', '.join(self.classes)}"

    def __repr__(self) -> str:
        source, quality = self.source, self.quality
        score = f"{quality.metric.replace('_', ' ')} {quality.value:.2f} [{quality.lo:.2f}, {quality.hi:.2f}]"
        return (
            f"Direction of {source.task} in {source.model}, {source.place} ({source.method}): {score}, chance "
            f"{quality.chance:.2f}; {self.sign}"
        )
