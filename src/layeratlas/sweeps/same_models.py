"""The runs of a sweep that name one model used the same files, and these are still there."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.models.files import changed_files, deciding
from layeratlas.runs.place import Place
from layeratlas.runs.workspace import other_model
from layeratlas.sweeps.state import model_files
from layeratlas.sweeps.units import Unit


def demand_same_models(place: Place, units: Sequence[Unit]) -> None:
    """Raise StoreError if the files of a model have been replaced since a run of the sweep, or between two of them."""
    known: dict[tuple[str | None, ...], dict[str, str]] = {}
    for unit in units:
        model, files = unit.spec.model, deciding(model_files(place, unit))
        if not files:
            continue
        name = (model.id, model.revision, model.adapter)
        changed = [] if name in known else changed_files(model.id, model.adapter, files)
        if known.setdefault(name, files) != files or changed:
            raise other_model(model.id, changed, f"the run '{unit.name}' of this sweep")
