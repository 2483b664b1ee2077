"""Similarity of noisy copies of a passage, against copies of other passages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import SetMetric, Signal
from layeratlas.metrics._kernels import excess_information, vector_kernel

_TEMPERATURE = 0.1
_RIDGE = 1e-4
_PERMUTATIONS = 10


class Views(SetMetric):
    """DiME, InfoNCE and LiDAR of the mean states of noisy copies ("views") of each passage.

    - `dime`: E[S(K1 o permuted K2)] - S(K1 o K2) over two views, nats, 10 permutations; 0 if views of one
      passage share no more than views of two passages (Skean et al. 2023).
    - `infonce`: the mean of -log(exp(c_ii / 0.1) / sum_j exp(c_ij / 0.1)), c_ij the cosine between a view of passage i
      and another view of passage j, in both directions; nats. log n if views carry no information about their passage;
      lower is better (van den Oord et al. 2018).
    - `lidar`: exp of the entropy of the eigenvalues of W^-1/2 B W^-1/2, for the covariance B of passage means and W of
      copies around them plus 1e-4; the number of passages that can be distinguished, 1 to n - 1 (Thilak et al. 2024).
      Vectors are centred and scaled to length 1.

    The copies are specific to this package (a tenth of the words dropped, a tenth mistyped), so values can be compared
    within a run only.
    """

    summary = "DiME, InfoNCE and LiDAR of noisy copies of passages"
    reads = "views"
    signals = (
        Signal(name="dime", title="DiME", unit="nats", group="views", null=0),
        Signal(name="infonce", title="InfoNCE", unit="nats", group="views", bounds=(0, np.inf)),
        Signal(name="lidar", title="LiDAR", unit="passages", group="views", bounds=(1, np.inf)),
    )

    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return the signals, (L+1,) each."""
        layers = range(vectors.shape[2])
        first, second = (np.stack([vector_kernel(vectors[:, v, layer]) for layer in layers]) for v in (0, 1))
        return {
            "dime": excess_information(first, second, seed, _PERMUTATIONS),
            "infonce": np.array([infonce(vectors[:, 0, layer], vectors[:, 1, layer]) for layer in layers]),
            "lidar": np.array([lidar(vectors[:, :, layer]) for layer in layers]),
        }


def _unit(vectors: FloatArray) -> Floats:
    x = vectors.astype(np.float64)
    x -= x.reshape(-1, x.shape[-1]).mean(0)
    unit: Floats = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-30)
    return unit


def infonce(first: FloatArray, second: FloatArray) -> float:
    """Return the InfoNCE loss of two views, each (n, d); nats."""
    a, b = _unit(first), _unit(second)
    scores = a @ b.T / _TEMPERATURE
    own = np.diag(scores)
    away = [(scipy.special.logsumexp(scores, axis=axis) - own).mean() for axis in (1, 0)]
    return float(0.5 * sum(away))


def lidar(views: FloatArray) -> float:
    """Return LiDAR of views (n, q, d), computed from the n q by n q matrix of inner products."""
    x = _unit(views)
    n, q, d = x.shape
    means = x.mean(1)
    within = (x - means[:, None]).reshape(-1, d) / np.sqrt(n * q)
    between = (means - means.mean(0)) / np.sqrt(n)
    # Woodbury: (W'W + r I)^-1 = (I - W' (W W' + r I)^-1 W) / r, and the eigenvalues wanted are those of
    # B (W'W + r I)^-1 B'.
    cross = within @ between.T
    factor = scipy.linalg.cho_factor(within @ within.T + _RIDGE * np.eye(n * q), lower=True)
    inner = (between @ between.T - cross.T @ scipy.linalg.cho_solve(factor, cross)) / _RIDGE
    values = np.maximum(np.linalg.eigvalsh(inner), 0)
    if values.sum() <= 0:
        return np.nan
    values /= values.sum()
    return float(np.exp(-(values * np.log(np.where(values > 0, values, 1.0))).sum()))


PLUGIN = Views()
