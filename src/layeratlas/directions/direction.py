"""A fitted direction of one layer, in the model's coordinates: a linear read-out and vectors for steering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import Edit
from layeratlas.core.errors import SpecError, unknown_name
from layeratlas.directions import files
from layeratlas.directions.records import Quality, Source

if TYPE_CHECKING:
    from layeratlas.probes import LinearProbeClassifier, LinearProbeRegressor


# The norm of a vector that is only rounding, as a share of that of the texts' vectors, which are float32.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction:
    """A linear read-out of one layer and its steering vectors, in the model's coordinates.

    For vectors h (d,) of the layer, `weight @ h + offset` are the scores: one score for two classes (above 0 for
    `classes[1]`), one per class against the rest for more classes, and the predicted number if `classes` is empty.

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
        """Return the vector to add, (d,), from the mean of one class to the mean of another.

        `to` is the class to steer to (default: the second of two); `versus` the class to steer away from (default: all
        others). For numbers the vector is the change of h per unit. Differences of means steer better than the weights
        of a probe, which also compensate for correlated features (Marks and Tegmark 2023; Haufe et al. 2014). Raises
        SpecError for an unknown class, if `to` is not given with more than two classes, and where the means are equal.
        """
        check_ends(self.source.task, self.classes, to, versus)
        if not self.classes:
            return self._different(np.array(self.means[0]))
        target, others = self._ends(to, versus)
        counts = np.array(self.counts, float)[others]
        return self._different(self.means[target] - counts @ self.means[others] / counts.sum())

    def _different(self, vector: Floats) -> Floats:
        """Return a vector; raises SpecError if it is 0 up to rounding, and so leads nowhere."""
        if np.linalg.norm(vector) <= _ROUNDING * self.typical_norm:
            raise SpecError(
                f"the texts of '{self.source.task}' do not differ by label at {self.source.place}, so that no vector "
                "leads from one to the other",
                "a layer at which they do",
                "choose another layer",
            )
        return vector

    def _ends(self, to: str | None, versus: str | None) -> tuple[int, list[int]]:
        """Return the class that the vector leads to, and those that it leads away from; the names must be valid."""
        target = self.classes.index(to or self._default_class())
        others = (
            [i for i in range(len(self.classes)) if i != target] if versus is None else [self.classes.index(versus)]
        )
        return target, others

    def _default_class(self) -> str:
        if len(self.classes) > 2:
            known = ", ".join(self.classes)
            raise SpecError(f"'{self.source.task}' has {len(self.classes)} classes", f"the one to steer to, of {known}")
        return self.classes[1]

    def edit(self, strength: float = 1.0, to: str | None = None, versus: str | None = None) -> Edit:
        """Return the edit that adds the vector, for `intervene`; strength 1 leads from one mean to the other."""
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

        The manifest is in the file and in `FILE.json`. `to` and `versus` choose the vector of a control vector. Raises
        SpecError for another suffix, and for a layer or component that llama.cpp cannot steer.
        """
        path = Path(path)
        files.check_suffix(path)
        open_class = len(self.classes) > 2 and to is None
        vector = None if open_class else self.vector(to, versus)
        manifest = self._manifest() | {"steer": None if vector is None else self._steering(vector, to, versus)}
        if path.suffix == files.SAFETENSORS:
            tensors = {name: getattr(self, name) for name in files.TENSORS}
            files.write_tensors(path, manifest, tensors | ({} if vector is None else {files.STEER: vector}))
        else:
            files.write_control_vector(path, manifest, self.source.block, self._control_vector(vector))
        return path

    def _control_vector(self, vector: Floats | None) -> Floats:
        """Return the vector for a control vector; raises SpecError if llama.cpp cannot add it at this layer."""
        source = self.source
        if vector is None:
            raise SpecError(
                f"'{source.task}' has {len(self.classes)} classes and a control vector has one direction",
                f"the class to steer to, one of {', '.join(self.classes)}",
            )
        if source.component != "resid" or source.block < files.FIRST_BLOCK:
            raise SpecError(
                f"a control vector at {source.place}",
                f"point {files.FIRST_BLOCK + 1} or later of the residual stream, where llama.cpp can steer",
                "name such a layer (--layer), or save it as .safetensors",
            )
        return vector

    def ends(self, to: str | None = None, versus: str | None = None) -> tuple[str, str]:
        """Return in words what the vector leads to, by default the second of two classes, and away from."""
        if not self.classes:
            return "one unit more", "one unit less"
        target, others = self._ends(to, versus)
        return self.classes[target], self.classes[others[0]] if len(others) == 1 else "the others"

    def _manifest(self) -> dict[str, Any]:
        """Return the direction's manifest, as JSON."""
        return {
            "source": asdict(self.source),
            "quality": asdict(self.quality),
            "classes": list(self.classes),
            "counts": list(self.counts),
            "sign": self.sign,
            "typical_norm": self.typical_norm,
        }

    def _steering(self, vector: Floats, to: str | None, versus: str | None) -> dict[str, Any]:
        """Return the manifest entry of the steering vector, which leads from the mean of `from` to that of `to`."""
        target, away = self.ends(to, versus)
        return {"to": target, "from": away, "norm": float(np.linalg.norm(vector)), "block": self.source.block}

    @property
    def sign(self) -> str:
        """The meaning of a score above 0."""
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


def check_ends(task: str, classes: Sequence[str], to: str | None, versus: str | None) -> None:
    """Raise SpecError for classes to steer to and from that a task does not have, or that are the same."""
    if not classes and (to is not None or versus is not None):
        raise SpecError(f"'{task}' predicts numbers", "no class to steer to")
    for name in (to, versus):
        if name is not None and name not in classes:
            raise unknown_name("class", name, classes)
    target = classes[1] if to is None and len(classes) == 2 else to
    if target is not None and target == versus:
        raise SpecError(f"steering from '{versus}' to itself", "two different classes")


def load_direction(path: str | Path) -> Direction:
    """Return the direction in a `.safetensors` file that `Direction.save` wrote; raises StoreError for any other."""
    if not isinstance(path, str | Path):
        raise files.no_direction(path)
    manifest, tensors = files.read_tensors(Path(path))
    try:
        return Direction(
            source=Source(**manifest["source"]),
            quality=Quality(**manifest["quality"]),
            classes=tuple(manifest["classes"]),
            counts=tuple(manifest["counts"]),
            typical_norm=float(manifest["typical_norm"]),
            **{name: tensors[name] for name in files.TENSORS},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise files.no_direction(path) from error
