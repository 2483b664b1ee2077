"""The model of a run, loaded and self-tested once; several runs of one model share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel


class KeptModel:
    """Loads models and keeps the last one, so that consecutive runs of a model load it once; `spec` is its spec.

    It is a context manager, which closes the model.
    """

    def __init__(self) -> None:
        self.spec: ModelSpec | None = None
        self._model: LoadedModel | None = None

    def load(self, spec: ModelSpec, progress: Progress) -> LoadedModel:
        """Return the model of a spec; the previous model is closed and freed first."""
        with progress.stage("import torch", 1):
            from layeratlas.models import load

        if self._model is None or spec != self.spec:
            self.close()
            self._model = load(spec, progress)
            self.spec = spec
        return self._model

    def close(self) -> None:
        """Close and free the model."""
        if self._model is not None:
            self._model.close()
        self._model = self.spec = None

    def __enter__(self) -> KeptModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
