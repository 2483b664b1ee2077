"""Texts to what the routers of a mixture-of-experts model do with them."""

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
    """Return the probabilities and the use of experts of every text, each (texts, routers, experts).

    Means over the positions of a reading. Texts of one length share a batch, so that none is padded: in some models the
    experts of a text depend on the pads beside it.
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
