"""A model that several runs share, loaded and self-tested once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel


class KeptModel:
    """Loads models and keeps the last one, so that consecutive runs of a model load it once; `spec` is its spec."""

    def __init__(self) -> None:
        self.spec: ModelSpec | None = None
        self._model: LoadedModel | None = None

    def load(self, spec: ModelSpec, progress: Progress) -> LoadedModel:
        """Return the model of a spec; the previous model is freed first."""
        from layeratlas.models import load

        if self._model is None or spec != self.spec:
            self._model = self.spec = None
            self._model = load(spec, progress)
            self.spec = spec
        return self._model
