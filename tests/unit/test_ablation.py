"""A plan holds what is asked for and controls of the same width; planted losses are found, and only they."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest

from layeratlas.core.errors import DataError
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import sign_flip
from layeratlas.studies.exits.ablation.effects import ablation_effects
from layeratlas.studies.exits.ablation.findings import ablation_findings
from layeratlas.studies.exits.ablation.plan import WIDE, Ablation, Role, plan_ablations
from layeratlas.studies.exits.names import ExitFinding


def test_the_plan_has_every_block_and_sublayer_both_halves_and_controls_of_their_width():
    plan = plan_ablations(12, {"local": (0, 3), "late": (10, 12)}, controls=4)
    count = Counter((a.role, a.kind, a.component) for a in plan)
    assert count["layer", "skip", "resid"] == 12
    assert all(count["layer", kind, part] == 12 for kind in ("zero", "mean") for part in ("attn", "mlp"))
    assert {a.name: (a.start, a.stop) for a in plan if a.role == "half"} == {
        "lower half": (0, 6),
        "upper half": (6, 12),
    }
    controls = [(a.start, a.stop) for a in plan if a.role == "control"]
    assert Counter(b - a for a, b in controls) == {6: 4, 3: 4, 2: 4}
    assert not {(0, 6), (6, 12), (0, 3), (10, 12)} & set(controls)
    assert len(set(controls)) == len(controls)
    assert len({a.name for a in plan}) == len(plan)
    # An odd model's halves are as wide as each other.
    assert {a.stop - a.start for a in plan_ablations(7) if a.role == "half"} == {3}


def test_an_ablation_becomes_an_edit():
    plan = {a.name: a for a in plan_ablations(4)}
    assert plan["lower half"].edit().layers == (0, 1)
    assert plan["zero attn of block 2"].edit().component == "attn"
    for ablation in plan.values():  # also after it was written to a file
        assert Ablation.from_record(json.loads(json.dumps(asdict(ablation)))) == ablation
    means = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert plan["mean mlp of block 3"].edit(means).vectors.tolist() == [[6, 7]]


def effects_of(clean, ablated, groups, level="facts"):
    return ablation_effects(level, clean, ablated, groups, Resampler(groups, 1000, 0))


def effects(harm, items=300, seed=0, layers=12):
    """Return effects where ablation a makes right answers wrong with probability harm(a)."""
    rng = np.random.default_rng(seed)
    clean = (rng.random(items) < 0.8).astype(float)
    plan = plan_ablations(layers, {"span": (2, 5)}, controls=20)
    edited = {a: np.where(rng.random(items) < harm(a), 0.0, clean) for a in plan}
    return effects_of(clean, edited, [f"g{i // 2}" for i in range(items)])


def test_a_planted_span_and_half_are_found():
    found = effects(lambda a: 0.15 * len(set(range(a.start, a.stop)) & {2, 3, 4}) if a.kind == "skip" else 0.0)
    by_name = {e.ablation.name: e for e in found}
    span = by_name["span"]
    assert span.change.hi < 0
    assert span.change.p <= 0.05
    assert span.share_as_large == pytest.approx(1 / 10)  # nine other ranges of three blocks, none as harmful
    assert (span.n, span.n_groups) == (300, 150)
    assert span.change.estimate == pytest.approx(span.ablated - span.clean)
    assert by_name["skip block 3"].change.p <= 0.05
    assert by_name["skip block 8"].change.estimate == 0
    assert by_name["skip block 8"].change.p == by_name["skip block 8"].share_as_large == 1
    verdicts = {effect.ablation.name: effect.verdict for effect in found if effect.ablation.role in WIDE}
    assert verdicts == {"lower half": "supported", "upper half": "inconclusive", "span": "supported"}
    listed = [(finding.finding, finding.verdict) for finding in ablation_findings(found, "sum")]
    assert listed == [(ExitFinding.ABLATION, verdict) for verdict in verdicts.values()] + [
        (ExitFinding.ABLATION_OF_HALVES, "supported")
    ]


def test_nothing_is_found_where_nothing_is_lost():
    """Noise that helps as often as it harms: at most one run in twenty may speak."""
    spoke = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        clean = (rng.random(200) < 0.6).astype(float)
        flip = {
            a: np.where(rng.random(200) < 0.1, rng.random(200) < 0.6, clean).astype(float) for a in plan_ablations(6)
        }
        spoke += any(
            f.verdict != "inconclusive"
            for f in ablation_findings(effects_of(clean, flip, [str(i) for i in range(200)]), "sum")
        )
    assert spoke <= 3


def test_items_that_do_not_match_are_refused():
    plan = plan_ablations(4)
    with pytest.raises(DataError, match="'x': 3 clean items, 3 groups, others for skip block 0"):
        effects_of(np.ones(3), {plan[0]: np.ones(4)}, ["a", "b", "c"], "x")
    with pytest.raises(DataError, match="'x': 3 clean items, 2 groups"):
        effects_of(np.ones(3), {plan[0]: np.ones(3)}, ["a", "b"], "x")


def test_the_p_value_is_the_share_of_signs_with_as_large_a_sum():
    rng = np.random.default_rng(0)
    for sums in (np.array([1.0, -1, 1, 1, 0, 0]), rng.choice([-1, -0.5, 0, 1 / 3, 0.25, 2], 9), np.full(8, -0.2)):
        signs = np.array(list(product([-1, 1], repeat=len(sums))))
        share = np.mean(np.abs((signs * np.abs(sums)).sum(1)) >= abs(sums.sum()) - 1e-9)
        assert sign_flip(sums) == pytest.approx(share)
    assert sign_flip(np.zeros(5)) == 1.0


def test_few_groups_support_no_single_block_whatever_it_costs():
    """Six groups of four facts: every sign alike has a chance of one in 32, and many blocks are looked at."""
    clean, plan = np.ones(24), plan_ablations(30)
    lost = {a: np.zeros(24) if a.role == "layer" else clean for a in plan}
    groups = [f"g{i // 4}" for i in range(24)]
    found = effects_of(clean, lost, groups)
    assert all(e.change.p > 0.05 for e in found)
    statements = [f.statement for f in ablation_findings(found, "sum") if f.finding == ExitFinding.ABLATION]
    assert len(statements) == 2
    assert all(s.endswith(" 6 groups are too few to support a change; 7 are needed.") for s in statements)
    more = {a: np.tile(credit, 3) for a, credit in lost.items()}
    enough = effects_of(np.ones(72), more, [f"g{i // 4}" for i in range(72)])
    assert all((e.change.p <= 0.05) == (e.ablation.role == Role.LAYER) for e in enough)


def test_a_model_that_guesses_loses_nothing_though_answers_change():
    """Each ablation guesses anew on 24 questions: in 60 runs of 150 looks, at most one in ten speaks."""
    spoke = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        plan = plan_ablations(30)
        clean, *edited = (rng.random((len(plan) + 1, 24)) < 0.25).astype(float)
        found = effects_of(clean, dict(zip(plan, edited, strict=True)), [str(i) for i in range(24)])
        spoke += any(e.change.p <= 0.05 and e.ablation.role == Role.LAYER for e in found)
    assert spoke <= 6
