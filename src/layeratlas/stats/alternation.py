"""Do neighbouring layers alternate in the tasks they specialise in, beyond the trend that all tasks share?

A layer's specialisation in a task is how well it decodes the task, relative to the task's other layers and to all tasks
at that layer. The mean over tasks removes what all tasks share at a layer (a common hump, or one common order of the
layers). A polynomial removes smooth changes of one task over depth. The rest is compared between disjoint halves of the
texts, so that estimation noise does not bias it. Layers alternate if a layer's specialisation in one half is opposite
to its neighbour's in the other half.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ROUNDING, percentile_interval
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Effect

# The degree of the smooth part of one task's specialisation.
DEGREE = 4
# With fewer layers, too few dimensions remain after the polynomial is removed.
FEWEST_POINTS = DEGREE + 4
ROTATIONS = 999
# What the halves of the texts share sets the scale of a task where it has this many times the variance of their noise.
# Noise alone exceeds it rarely, so that a scale hardly depends on the noise that it divides.
_NOISE_SHARE = 2.0


def specialisations(half_a: Floats, half_b: Floats) -> tuple[Floats, Floats]:
    """Return curves on halves of the texts (H, T, P), standardised over layers, minus the mean over tasks.

    A task has one scale for all halves: the spread of what both halves of the texts share, or of their noise where that
    is larger. With a scale for each half, noise would be divided by its own size, and random halves would show less
    noise than the whole sample has. A scale that is estimated from a curve hides the noise along the curve in the whole
    sample, so that it is removed from the halves too.
    """
    first, second = (half - half.mean(-1, keepdims=True) for half in (half_a, half_b))
    whole, noise = (first + second) / 2, (first - second) / 2
    shared = (first * second).mean((0, -1), keepdims=True)
    noisy = _NOISE_SHARE * (noise**2).mean((0, -1), keepdims=True)
    curve = np.where(shared > noisy, whole.mean(0, keepdims=True), 0.0)
    length = (curve**2).sum(-1, keepdims=True)
    along = np.divide(
        (noise * curve).sum(-1, keepdims=True), length, out=np.zeros_like(noise[..., :1]), where=length > 0
    )
    noise = noise - along * curve
    scale = np.sqrt(np.maximum(shared, noisy))
    scaled = [
        np.divide(half, scale, out=np.zeros_like(half), where=scale > 0) for half in (whole + noise, whole - noise)
    ]
    one, other = (half - half.mean(-2, keepdims=True) for half in scaled)
    return one, other


def alternation(half_a: Floats, half_b: Floats, seed: int = 0) -> Effect:
    """Return how strongly neighbouring layers alternate: positive if opposite, negative if alike, 0 if unrelated.

    `half_a`, `half_b` (H, T, P) are curves of T tasks on H random halves of the texts and on their complements. Under
    the null hypothesis, the specialisations that both halves share are rotated at random in the space orthogonal to the
    polynomials (Langsrud 2005). This is exact if unrelated layers are exchangeable, as with one random layer order for
    all tasks. The estimation noise is not rotated, since neighbouring layers share it; it is drawn as the difference of
    two halves. The estimate is the excess over specialisations in random directions, at most about 1. The interval is
    the estimate minus the central 95 % of the null; p is two-sided.
    """
    points = half_a.shape[-1]
    basis = _beyond_polynomials(points)
    first, second = (half @ basis for half in specialisations(half_a, half_b))
    shared = np.einsum("htp,htq->pq", first, second) / len(half_a)
    shared = (shared + shared.T) / 2
    neighbours = basis.T @ ((np.eye(points, k=1) + np.eye(points, k=-1)) / 2) @ basis
    # Residuals of a polynomial alternate by construction; subtract the mean over directions.
    neighbours -= np.eye(len(neighbours)) * np.trace(neighbours) / len(neighbours)
    # Scale the estimate to between -1 and 1, for any size of the specialisations.
    size = float(np.abs(np.linalg.eigvalsh(shared)).sum()) or 1.0
    estimate = -float((neighbours * shared).sum()) / size
    null = -_null_products(neighbours, shared, (first - second) / 2, np.random.default_rng([seed, 53])) / size
    lo, hi = percentile_interval(null)
    p = two_sided(null - estimate)
    return Effect(estimate=estimate, lo=estimate - float(hi), hi=estimate - float(lo), p=p)


def _beyond_polynomials(points: int) -> Floats:
    """Return an orthonormal basis (P, P - 1 - DEGREE) of the complement of the polynomials."""
    polynomials = np.vander(np.linspace(-1, 1, points), DEGREE + 1)
    return np.linalg.qr(polynomials, mode="complete")[0][:, DEGREE + 1 :]


def _null_products(neighbours: Floats, shared: Floats, noise: Floats, rng: np.random.Generator) -> Floats:
    """Return the null statistics (ROTATIONS,): products of neighbours in randomly rotated specialisations plus noise.

    `shared` (Q, Q) are the noise-free products of specialisations. `noise` (H, T, Q) is half the difference between
    halves, which has the variance of the noise in the whole sample.
    """
    tasks, directions = noise.shape[1:]
    values, vectors = np.linalg.eigh(shared)
    kept = np.argsort(values)[::-1][: min(tasks, directions)]
    sizes = np.maximum(values[kept], 0.0)
    # Noise makes some eigenvalues negative; after clipping these, rescale the rest to the same sum.
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
