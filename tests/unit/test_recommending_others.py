"""Where to exit, which block to leave out and where to steer: what the other studies recommend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.recommendation import Recommendation
from layeratlas.stats.resampling import Resampler, Sample, split_draws
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.causal import recommending as steering
from layeratlas.studies.causal.effects import Measured, Reading, SetEffects, set_effects
from layeratlas.studies.causal.findings import causal_findings
from layeratlas.studies.causal.names import CausalFinding, Edited
from layeratlas.studies.causal.settings import CausalSettings
from layeratlas.studies.exits.analysis import advise
from layeratlas.studies.exits.curves import ExitCurve, level_curves
from layeratlas.studies.exits.recommending import recommendations
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.recommending import pruning


def exit_curve(truth: np.ndarray, spread: float, seed: int = 0, control: float = 0.25) -> ExitCurve:
    """A curve with noise that neighbouring exits share almost wholly, as answers of one model do."""
    rng = np.random.default_rng([seed, 17])
    shared, own = rng.standard_normal((401, 1)), rng.standard_normal((401, len(truth)))
    noise = spread * (0.95 * shared + 0.3 * own)
    estimate = truth + noise[0]
    draws = estimate + noise[1:]
    bare = np.full((400, len(truth)), control)
    return ExitCurve(
        level="facts",
        task="all",
        stratum="all",
        component="resid",
        method="sum",
        metric="accuracy",
        estimate=estimate,
        draws=draws,
        half_a=draws[:20],
        half_b=draws[:20],
        shuffles=bare,
        chance=0.25,
        baseline=0.25,
        n=1000,
        n_groups=1000,
        baseline_draws=np.full(400, 0.25),
        evident=False,
        control_a=bare[:20],
        control_b=bare[:20],
    )


# From exit 6 on, the answer is as good as that of the last one.
RISE = np.array([0.25, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7])


def chosen(truth: np.ndarray, spread: float, seed: int = 0, answered: bool = True) -> Recommendation:
    return recommendations([exit_curve(truth, spread, seed)], {"facts"} if answered else set())[0]


def test_the_earliest_exit_that_is_as_good_as_the_last_is_recommended():
    row = chosen(RISE, 0.01)
    assert (row.layer, row.as_good, row.unit, row.last) == (6, (6, 7, 8, 9, 10), "exit", 10)
    assert row.reason == "4 of 10 blocks can be left out."


def test_an_exit_that_is_worse_is_seldom_recommended():
    # Exit 5 truly loses exactly the margin: it passes in 2.5 % of runs at most.
    truth = RISE.copy()
    truth[5] = 0.68
    rows = [chosen(truth, 0.02, seed) for seed in range(200)]
    assert np.mean([row.layer < 6 for row in rows]) <= 0.05
    # Where the loss is smaller than the margin and the data suffice, it does pass.
    truth[5] = 0.695
    assert np.mean([chosen(truth, 0.002, seed).layer == 5 for seed in range(20)]) == 1.0


def test_few_questions_recommend_the_last_exit():
    row = chosen(RISE, 0.08)
    assert (row.layer, row.as_good) == (10, (10,))
    assert "No earlier exit is shown" in row.reason


def test_a_level_that_no_exit_answers_has_no_exit():
    flat = np.full(11, 0.25)
    row = chosen(flat, 0.02, answered=False)
    assert row.layer is None
    assert "No exit is shown to beat its floor (at best by" in row.reason


def test_a_last_exit_at_chance_is_no_standard():
    fallen = np.array([0.25, 0.6, 0.7, 0.6, 0.25])
    row = chosen(fallen, 0.01)
    assert row.layer is None
    assert "earlier ones cannot be compared with it" in row.reason


def skipping(cost: np.ndarray, passages: int, seed: int) -> tuple[Estimate, Sample]:
    """The mean divergence without each block over log-normal passages, with its bootstrap and its halves."""
    rng = np.random.default_rng([seed, 3])
    by_passage = cost * np.exp(
        0.3 * rng.standard_normal((passages, 1)) + 0.3 * rng.standard_normal((passages, len(cost)))
    )
    resampler = Resampler([f"p{number}" for number in range(passages)], 400, seed, halves=40)
    weights = resampler.weights([f"p{number}" for number in range(passages)])
    sample = split_draws((weights / weights.sum(1, keepdims=True)) @ by_passage, resampler)
    return Estimate(value=sample.estimate, draws=sample.draws, passages=passages), sample


COST = np.array([5.0, 1.0, 0.4, 0.2, 0.2, 0.2, 0.4, 1.0])


def test_the_blocks_whose_loss_is_least_are_those_that_are_as_good():
    rows = [pruning(*skipping(COST, 40, seed)) for seed in range(60)]
    assert np.mean([{3, 4, 5} <= set(row.as_good) for row in rows]) >= 0.9
    assert np.mean([row.layer in (3, 4, 5) for row in rows]) == 1.0
    assert all({0, 1, 7}.isdisjoint(row.as_good) for row in rows)
    row = rows[0]
    assert row.lo < row.value < row.hi
    assert str(row).startswith(f"all, prune: block {row.layer} of 0-7 (as good with 95% confidence: ")
    assert "chance" not in str(row)


def test_blocks_that_cost_the_same_are_all_as_good():
    rows = [pruning(*skipping(np.full(8, 0.3), 40, seed)) for seed in range(60)]
    assert np.mean([len(row.as_good) == 8 for row in rows]) == pytest.approx(0.95, abs=0.07)


@pytest.mark.parametrize(("verdicts", "layers"), [(["supported"], [6]), (["inconclusive"], [None]), ([], [])])
def test_the_exits_study_advises_on_the_levels_of_its_findings(verdicts, layers):
    findings = [
        Finding(
            finding="exit",
            level="facts",
            component="resid",
            method="sum",
            statement="",
            estimate=0.4,
            lo=0.3,
            hi=0.5,
            p=0.001,
            null="",
            verdict=verdict,
            n=1000,
        )
        for verdict in verdicts
    ]
    curves = [exit_curve(RISE, 0.01), replace(exit_curve(RISE, 0.01), task="of the level")]
    rows = advise(curves, finding_table(findings, "m", "exits"), "sum")
    assert [row.layer for row in rows] == layers


def steered(effect: np.ndarray, seed: int, questions: int = 40, noise: float = 1.0) -> SetEffects:
    """The effects on a set whose log-odds fall by `effect` (P,) on average, with independent noise by point."""
    rng = np.random.default_rng(seed)
    edits = list(Edited)
    logits = np.zeros((questions, len(effect), len(edits), 2))
    fall = effect + noise * rng.standard_normal((questions, len(effect)))
    logits[:, :, edits.index(Edited.STEER), 1] = fall
    groups = [f"g{question}" for question in range(questions)]
    reading = Reading(gain=Effect(estimate=0.0, lo=-0.1, hi=0.1, p=1.0), chance=0.5, left=0.5, shuffled=0.5)
    measured = Measured(
        clean=np.zeros((questions, 2)), edited=logits, edits=edits, codes=np.zeros(questions, int), groups=groups
    )
    draws = Resampler(groups, 300, seed, halves=40)
    return set_effects("facts", measured, [reading] * len(effect), range(len(effect)), CausalSettings(), draws)


def steer(effects: SetEffects, levels: Sequence[str] = ("facts",)) -> Recommendation:
    return steering.recommendations([effects], levels, len(effects.cells))[0]


@pytest.mark.parametrize(
    ("shift", "noise", "verdict"),
    [(3.0, 1.0, "supported"), (0.04, 0.01, "not supported"), (0.2, 1.0, "inconclusive"), (-1.0, 0.1, "not supported")],
)
def test_steering_is_supported_beyond_the_smallest_shift_that_matters(shift, noise, verdict):
    effects = steered(np.r_[np.zeros(5), shift, np.zeros(6)], 3, noise=noise)
    (found,) = (one for one in causal_findings([effects], {}) if one.finding == CausalFinding.STEERED)
    assert found.verdict == verdict
    assert "less than 0.10 is too small to matter" in found.statement
    assert (steer(effects, levels=[effects.level]).layer is not None) == (verdict == "supported")


def test_a_shift_that_is_shown_and_negligible_is_not_steering():
    """Of a model that moves by 0.04 nats everywhere, surely and uselessly."""
    effects = steered(np.full(12, 0.04), 3, noise=0.01)
    assert all(cell.steered.verdict() == "supported" for cell in effects.cells)  # negative control: above 0
    assert {cell.moves for cell in effects.cells} == {"not supported"}


def test_a_share_of_the_answers_is_asked_for_where_it_is_more():
    assert CausalSettings().margins(2.4) == pytest.approx((0.24, 0.24))
    assert CausalSettings().margins(0.05) == pytest.approx((0.005, 0.1))
    assert CausalSettings(unmoved=0.5).margins(-1.0) == (0.0, 0.5)


def test_points_as_good_to_steer_are_all_that_may_be_the_best():
    """Also those at which an effect is not shown: the set is a confidence set of the best point."""
    effects = steered(np.r_[0.0, np.full(11, 0.5)], 3)
    one = steer(effects)
    assert any(cell.moves != "supported" for cell in effects.cells[1:])
    assert set(range(1, 12)) <= set(one.as_good)
    clear = steer(steered(np.r_[np.zeros(5), 3.0, np.zeros(6)], 3))
    assert (clear.layer, clear.as_good) == (5, (5,))
    assert clear.value == pytest.approx(3.0, abs=0.6)
    none = steer(steered(np.zeros(12), 3))
    assert none.layer is None
    assert none.as_good == ()
    assert steer(effects, levels=()).layer is None  # the report does not show it, after its correction


def test_the_freedom_of_a_mean_is_that_of_its_most_uncertain_set():
    """A level of 8 and of 200 groups has about 7 degrees of freedom; equal sets have those of all their groups."""
    small = replace(exit_curve(RISE, 0.1), n_groups=8)
    large = replace(exit_curve(RISE, 0.02, seed=1), n_groups=200)
    (level,) = level_curves([small, large], {"facts": 208})
    assert 7 <= level.degrees < 8
    alike = [replace(exit_curve(RISE, 0.05, seed), n_groups=30) for seed in (2, 3)]
    assert 50 < level_curves(alike, {"facts": 60})[0].degrees <= 59
    # Translations of the same questions share their groups, which count once.
    assert level_curves(alike, {"facts": 30})[0].degrees == 29
    assert (small.degrees, large.degrees) == (7, 199)
