"""The random-weight control of every study: the run's architecture with newly initialised weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.runs.workspace import Workspace

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel


def random_weight_model(work: Workspace) -> LoadedModel | None:
    """Return a model of the run's architecture with random weights, drawn with the run's seed.

    Returns None, with a note to the user, if a second model does not fit into memory, or if the first is not on this
    machine.
    """
    from layeratlas.models.memory import budget
    from layeratlas.models.untrained import untrained

    model = work.model
    size = sum(p.numel() * p.element_size() for p in model.model.parameters())
    if model.remote is not None:
        work.progress.note("the model is on NDIF; the random-weight control is left out")
        return None
    spread = model.streamer is not None or model.team is not None
    memory = work.spec.model.memory
    # What is free on the device is what the first model has left; a limit set by the user holds for both.
    needed = size if memory is None else 2 * size
    if spread or needed > budget(memory, model.device):
        work.progress.note("no memory for a random-weight model beside this one; this control is left out")
        return None
    return untrained(model, work.spec.seed)
