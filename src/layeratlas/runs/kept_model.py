"""What consecutive runs share: the model, loaded and self-tested once, and the vectors of texts that they all read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel


class KeptModel:
    """Loads models and keeps the last one, so that consecutive runs of a model load it once; `spec` is its spec.

    `runs` is a folder of runs that may use each other's stored vectors. It is a context manager, which closes the
    model.
    """

    def __init__(self, runs: Path | None = None) -> None:
        self._runs = runs
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

    def neighbours(self, run: Path) -> Iterator[Path]:
        """Yield the folders of the other runs whose stored vectors a run may use."""
        if self._runs is not None:
            yield from (folder for folder in sorted(self._runs.iterdir()) if folder != run)

    def close(self) -> None:
        """Close and free the model."""
        if self._model is not None:
            self._model.close()
        self._model = self.spec = None

    def __enter__(self) -> KeptModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
