"""Curvature of the path of states from token to token."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class Curvature(Metric):
    """Curvature in radians, as published and as computed by a widely used implementation.

    - `curvature`: the mean angle between the displacements z_(t+1) - z_t and z_(t+2) - z_(t+1) (Hosseini and Fedorenko
      2023; Henaff et al. 2019); 0 on a straight line, 2 pi / 3 for independent states.
    - `state_angle`: the mean angle between the states z_t and z_(t+1) themselves, which the code of "Layer by Layer"
      (arXiv 2502.02013) calls curvature; pi / 2 for independent states in many dimensions.

    A pair with a vector of length 0 (the same token twice, at the embeddings) has no angle and is left out.
    """

    summary = "curvature of the path of states, as published; and the angle between neighbouring states"
    signals = (
        Signal(
            name="curvature",
            title="Curvature",
            unit="radians",
            group="geometry",
            bounds=(0, np.pi),
            null=2 * np.pi / 3,
        ),
        Signal(
            name="state_angle",
            title="Angle between neighbours",
            unit="radians",
            group="geometry",
            bounds=(0, np.pi),
            null=np.pi / 2,
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return both signals, (L+1,) each."""
        states = passage.states
        return {"curvature": _mean_angle(np.diff(states, axis=1)), "state_angle": _mean_angle(states)}


def _mean_angle(vectors: FloatArray) -> Floats:
    """Return the mean angle between neighbours along the second axis, (layers,)."""
    x = vectors.astype(np.float64)
    length = np.linalg.norm(x, axis=-1)
    both = length[:, 1:] * length[:, :-1]
    kept = both > 1e-18
    inner = np.einsum("ltd,ltd->lt", x[:, 1:], x[:, :-1])
    angle = np.arccos(np.clip(np.divide(inner, both, out=np.zeros_like(inner), where=kept), -1, 1))
    with np.errstate(invalid="ignore"):
        mean: Floats = (angle * kept).sum(1) / kept.sum(1)
    return mean


PLUGIN = Curvature()
