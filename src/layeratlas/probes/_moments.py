"""Means and sums of products over rows that need not fit into memory, and ridge regression from these sums."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes._dual import scale_of


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Means and centred sums of products of `n` rows x (n, d) with label columns y (n, k).

    x: (d,); y: (k,); xx: (d, d); xy: (d, k). Moments of shards can be added without the loss of precision of raw sums
    of squares (Chan, Golub and LeVeque 1983).
    """

    n: int
    x: Floats
    y: Floats
    xx: Floats
    xy: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats) -> Self:
        """Return the moments of rows x (n, d) with label columns y (n, k), in float64; n may be 0."""
        n = len(x)
        mean, label = x.sum(0) / max(n, 1), y.sum(0) / max(n, 1)
        centred = x - mean
        return cls(n=n, x=mean, y=label, xx=centred.T @ centred, xy=centred.T @ (y - label))

    def of_columns(self, columns: int) -> Moments:
        """Return the moments with the first label columns only."""
        return replace(self, y=self.y[:columns], xy=self.xy[:, :columns])

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        share, apart = other.n / max(n, 1), other.x - self.x
        labels, weight = other.y - self.y, self.n * other.n / max(n, 1)
        return Moments(
            n=n,
            x=self.x + share * apart,
            y=self.y + share * labels,
            xx=self.xx + other.xx + weight * np.outer(apart, apart),
            xy=self.xy + other.xy + weight * np.outer(apart, labels),
        )


class MomentRidge:
    """Ridge on standardised features, computed from moments; equal to `Ridge` fitted on the rows."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        scale = scale_of(np.sqrt(np.diagonal(moments.xx) / moments.n), moments.x)
        self._scale = scale
        values, self._vectors = np.linalg.eigh(moments.xx / np.outer(scale, scale))
        self._values = np.maximum(values, 0.0)
        self._target = self._vectors.T @ (moments.xy / scale[:, None])

    def rotated(self, x: Floats) -> Floats:
        """Return rows x (m, d), standardised and projected on the eigenvectors, (m, d)."""
        rotated: Floats = (x - self._moments.x) / self._scale @ self._vectors
        return rotated

    def scores(self, rotated: Floats, penalty: float) -> Floats:
        """Return the scores (m, k) of rotated rows (m, d) under a penalty."""
        shrink = 1 / (self._values + penalty)
        scores: Floats = rotated @ (shrink[:, None] * self._target) + self._moments.y
        return scores

    def left_out_error(self, rotated: Floats, y: Floats, penalty: float) -> Floats:
        """Return the mean squared error (k,) of some fitted rows, each predicted from all other rows.

        rotated: (m, d); y: (m, k). In closed form (Golub, Heath and Wahba 1979).
        """
        leverage = 1 / self._moments.n + rotated**2 @ (1 / (self._values + penalty))
        error: Floats = (((y - self.scores(rotated, penalty)) / (1 - leverage)[:, None]) ** 2).mean(0)
        return error

    def best_scores(self, inside: Floats, y: Floats, outside: Floats, penalties: tuple[float, ...]) -> Floats:
        """Return the scores (m, k) of rows `outside` (m, d), for each column under its best penalty.

        The best penalty has the smallest leave-one-out error over the rows `inside` (r, d) with label columns y (r, k),
        which must be among the fitted rows.
        """
        inside, outside = self.rotated(inside), self.rotated(outside)
        errors = np.stack([self.left_out_error(inside, y, penalty) for penalty in penalties])
        chosen = errors.argmin(0)
        scores = np.zeros((len(outside), y.shape[1]))
        for number, penalty in enumerate(penalties):
            scores[:, chosen == number] = self.scores(outside, penalty)[:, chosen == number]
        return scores
