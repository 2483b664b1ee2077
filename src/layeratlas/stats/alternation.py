"""Do neighbouring layers take turns in what they specialise in, beyond what all tasks share at a layer?

A layer's specialisation is how well it decodes each task, relative to that task's other layers and to all tasks at that
layer. What all tasks share at a layer (a common hump, or one order of the layers for all) is removed by the mean over
tasks; what changes smoothly over depth for one task by a polynomial. What is left is compared between disjoint halves
of the texts, so that noise of estimation does not bias it: layers take turns where the specialisation of a layer in one
half is the opposite of its neighbour's in the other.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ROUNDING, percentile_interval
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Effect

# The degree of the smooth part of one task's specialisation.
DEGREE = 4
# Fewer points leave too few directions beside the polynomial.
FEWEST_POINTS = DEGREE + 4
ROTATIONS = 999


def specialisation(curves: Floats) -> Floats:
    """Return curves (..., T, P) in standard deviations over layers, less the mean over tasks."""
    spread = curves.std(-1, keepdims=True)
    centred = curves - curves.mean(-1, keepdims=True)
    z = np.divide(centred, spread, out=np.zeros_like(curves), where=spread > 0)
    relative: Floats = z - z.mean(-2, keepdims=True)
    return relative


def alternation(half_a: Floats, half_b: Floats, seed: int = 0) -> Effect:
    """Return how far neighbouring layers take turns: positive where opposite, negative where alike, 0 for no relation.

    `half_a`, `half_b` (H, T, P) are curves of T tasks on H random halves of the texts and on their complements. Under
    the null the specialisations that both halves share are rotated at random in the space that the polynomial leaves
    (Langsrud 2005), which is exact where layers without a relation are exchangeable, as those of one random order for
    all tasks are. The noise of estimation is not rotated, since neighbouring layers share it: the difference of two
    halves is a draw of it. The estimate is the excess over that of specialisations in random directions, at most about
    1; the interval is the estimate less the null's central 95 %; p is two-sided.
    """
    points = half_a.shape[-1]
    basis = _beyond_polynomials(points)
    first, second = (specialisation(half) @ basis for half in (half_a, half_b))
    shared = np.einsum("htp,htq->pq", first, second) / len(half_a)
    shared = (shared + shared.T) / 2
    neighbours = basis.T @ ((np.eye(points, k=1) + np.eye(points, k=-1)) / 2) @ basis
    # What the polynomial leaves alternates by itself: less the mean over directions.
    neighbours -= np.eye(len(neighbours)) * np.trace(neighbours) / len(neighbours)
    # Scaled so that the estimate is within -1 and 1 whatever the sizes of the specialisations.
    size = float(np.abs(np.linalg.eigvalsh(shared)).sum()) or 1.0
    estimate = -float((neighbours * shared).sum()) / size
    null = -_null_products(neighbours, shared, (first - second) / 2, np.random.default_rng([seed, 53])) / size
    lo, hi = percentile_interval(null)
    p = two_sided(null - estimate)
    return Effect(estimate=estimate, lo=estimate - float(hi), hi=estimate - float(lo), p=p)


def _beyond_polynomials(points: int) -> Floats:
    """Return an orthonormal basis (P, P - 1 - DEGREE) of what is left of curves without their smooth part."""
    polynomials = np.vander(np.linspace(-1, 1, points), DEGREE + 1)
    return np.linalg.qr(polynomials, mode="complete")[0][:, DEGREE + 1 :]


def _null_products(neighbours: Floats, shared: Floats, noise: Floats, rng: np.random.Generator) -> Floats:
    """Return the products (ROTATIONS,) of neighbours with specialisations that are rotated at random, plus noise.

    `shared` (Q, Q) are the products of specialisations without noise, `noise` (H, T, Q) half the differences between
    halves, each as large as the noise of the whole sample.
    """
    tasks, directions = noise.shape[1:]
    values, vectors = np.linalg.eigh(shared)
    kept = np.argsort(values)[::-1][: min(tasks, directions)]
    sizes = np.maximum(values[kept], 0.0)
    # Noise makes some of them negative; without those the rest would be too large.
    sizes *= max(float(values.sum()), 0.0) / max(float(sizes.sum()), ROUNDING)
    amplitudes = np.zeros((tasks, directions))
    amplitudes[: len(kept)] = (vectors[:, kept] * np.sqrt(sizes)).T
    q, r = np.linalg.qr(rng.standard_normal((ROTATIONS, directions, directions)))
    turns = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]  # uniform over all rotations (Mezzadri 2007)
    signs = rng.choice([-1.0, 1.0], (ROTATIONS, 1, 1))
    drawn = amplitudes @ turns + signs * noise[rng.integers(0, len(noise), ROTATIONS)]
    of_noise = float((neighbours * np.einsum("htp,htq->pq", noise, noise)).sum()) / len(noise)
    products: Floats = ((drawn @ neighbours) * drawn).sum((1, 2)) - of_noise
    return products
