"""A probe: the difference of the two class means."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Gram, Probe


class Centroid(Probe):
    """A row scores its inner product with the difference of class means, from halfway between them."""

    name = "centroid"
    label = "Class means"
    summary = "difference of class means; classes"

    def solve(self, gram: Gram, y: Floats) -> tuple[Floats, Floats]:
        """Return dual coefficients (n, k) and intercepts (k,): weights +1/n of one class and -1/n of the other."""
        one, other = y > 0, y <= 0
        dual = one / np.maximum(one.sum(0), 1) - other / np.maximum(other.sum(0), 1)
        scores = gram.matrix @ dual
        middle = (np.where(one, scores, 0).sum(0) / one.sum(0) + np.where(other, scores, 0).sum(0) / other.sum(0)) / 2
        return dual, -middle


PLUGIN = Centroid()
