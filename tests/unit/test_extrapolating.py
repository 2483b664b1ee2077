"""Extrapolation shortens a linear iteration, column by column, and leaves one alone that it does not help."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from layeratlas.probes import Gram
from layeratlas.probes._dual import standardise
from layeratlas.probes._extrapolating import STATES, Extrapolation
from layeratlas.probes._gram import RidgeMap
from layeratlas.probes.svm import LinearSVM

RNG = np.random.default_rng(0)
EVERY = 10


def contraction(n=30, slow=0.98):
    """Return a symmetric matrix with eigenvalues up to `slow`, most of them small, and two constants."""
    basis = np.linalg.qr(RNG.standard_normal((n, n)))[0]
    matrix = basis @ np.diag([slow, 0.9, 0.7, *np.linspace(0, 0.3, n - 3)]) @ basis.T
    return matrix, RNG.standard_normal((n, 2))


def iterate(matrix, constant, turns, *, extrapolated, xp=np):
    state, ahead, kept = xp.zeros_like(constant), Extrapolation(), np.arange(constant.shape[-1])
    for turn in range(1, turns + 1):
        state = matrix @ state + constant
        ahead.add(state)
        if extrapolated and turn % EVERY == 0:
            state = ahead.next(kept)
    return state


@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_linear_iteration_ends_in_a_fraction_of_the_steps(batch):
    matrix, constant = contraction()
    wanted = np.linalg.solve(np.eye(len(matrix)) - matrix, constant)
    constant = np.broadcast_to(constant, (*batch, *constant.shape)).copy()
    found, plain = (iterate(matrix, constant, 100, extrapolated=e) for e in (True, False))
    errors = [np.abs(state - wanted).max() for state in (found, plain)]
    assert errors[0] < 0.02 * errors[1]
    there = iterate(torch.from_numpy(matrix), torch.from_numpy(constant), 100, extrapolated=True, xp=torch)
    assert np.allclose(there.numpy(), found)


def test_each_column_is_extrapolated_by_itself_and_only_the_kept_go_on():
    matrix, constant = contraction()
    states = [constant]
    for _ in range(STATES):
        states.append(matrix @ states[-1] + constant)
    both, second = Extrapolation(), Extrapolation()
    for state in states:
        both.add(state)
        second.add(state[:, 1:])
    assert np.allclose(both.next(np.array([1])), second.next(np.array([0])))


def test_a_column_whose_steps_have_grown_takes_plain_steps():
    """Of two columns, one moves by longer steps than before its last extrapolation: its last state stays."""
    ahead, both = Extrapolation(), np.arange(2)
    start = RNG.standard_normal((8, 2))
    steps = [RNG.standard_normal((8, 2)) for _ in range(STATES)]

    def walk(scale):
        state = start
        for step in steps:
            state = state + scale * step
            ahead.add(state)
        return state, ahead.next(both)

    last, found = walk(np.array([1.0, 1.0]))
    assert not np.isclose(found, last).all(0).any()
    last, found = walk(np.array([2.0, 0.5]))
    assert np.array_equal(found[:, 0], last[:, 0])
    assert not np.isclose(found[:, 1], last[:, 1]).any()


def test_steps_of_nothing_stay_where_they_are():
    ahead, state = Extrapolation(), np.ones((4, 1), dtype=np.float32)
    for _ in range(STATES):
        ahead.add(state)
    assert np.allclose(ahead.next(np.array([0])), state)


def test_the_svm_takes_fewer_iterations_to_the_same_optimum(monkeypatch):
    x = np.random.default_rng(1).standard_normal((160, 300)) * np.arange(1, 301) ** -0.5
    x = standardise(x @ np.linalg.qr(np.random.default_rng(3).standard_normal((300, 300)))[0])[0]
    y = np.sign(np.random.default_rng(2).standard_normal((160, 12)))
    gram, count = Gram(x), []
    fit = RidgeMap.fit
    monkeypatch.setattr(RidgeMap, "fit", lambda self, target: count.append(target.shape[-1]) or fit(self, target))

    def scores(tolerance):
        count.clear()
        dual, intercept = LinearSVM(tolerance=tolerance, iterations=20_000).solve(gram, y)
        return gram.matrix @ dual + intercept, sum(count)

    (found, fits), (exact, _) = scores(1e-4), scores(1e-6)
    monkeypatch.setattr(Extrapolation, "next", plain_steps)
    plain, more = scores(1e-4)
    assert np.abs(found - exact).max() < 1e-3
    assert np.abs(plain - exact).max() < 1e-3
    assert fits < 0.8 * more


def plain_steps(ahead, kept):
    """Return the last state: what an iteration goes on from that is not extrapolated."""
    state = ahead._states[-1][..., kept]
    ahead.restart()
    return state
