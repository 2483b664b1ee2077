"""Read how the routers of a mixture-of-experts model route texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from layeratlas.capture.plan import Reading, make_even_plan
from layeratlas.core.arrays import Floats
from layeratlas.core.progress import Step
from layeratlas.models import LoadedModel
from layeratlas.models.routing import Router, observe_routers


def read_routers(
    model: LoadedModel, routers: Sequence[Router], readings: Sequence[Reading], batch_tokens: int, step: Step
) -> tuple[Floats, Floats]:
    """Return the probabilities and the use of experts for every text, each (texts, routers, experts).

    Values are means over the positions of a reading. Only texts of equal length share a batch, since in some models
    padding changes which experts a text uses.
    """
    shape = (len(readings), len(routers), max(router.experts for router in routers))
    probabilities, used = np.zeros(shape), np.zeros(shape)
    with torch.inference_mode(), observe_routers(model.anatomy, routers) as routed:
        for batch in make_even_plan(readings, batch_tokens):
            model.run(torch.from_numpy(batch.ids))
            for row, line, positions in zip(batch.rows, batch.lines, batch.positions, strict=True):
                for number, router in enumerate(routers):
                    for kept, into in ((routed.probabilities, probabilities), (routed.used, used)):
                        at = kept[router.block][line, list(positions)].mean(0)
                        into[row, number, : router.experts] = at.float().cpu().numpy()
            step.advance(batch.ids.size)
    return probabilities, used
