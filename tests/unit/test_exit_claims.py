"""Exits' claims about starts, floats, low reasoning and single levels: what is planted is found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from layeratlas.core import registry
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.emergence import start_depth
from layeratlas.studies.exits.analysis import analyse
from layeratlas.studies.exits.claims._last import turned
from layeratlas.studies.exits.findings.number_controls import carries
from layeratlas.studies.exits.names import ExitFinding
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

POINTS, DEPTH = 13, np.linspace(0, 1, 13)


def asked(items: tuple[Question, ...], signal: np.ndarray, level: str, tokens: np.ndarray | None = None) -> ScoredSet:
    """A set whose true choice is ahead by `signal` (n, P) standard deviations, and not without its question."""
    rng = np.random.default_rng(len(items))
    n = len(items)
    truth = np.array([question.answers[0] for question in items])
    after = rng.normal(size=(n, 4, POINTS)) + np.eye(4)[truth][:, :, None] * signal[:, None]
    sizes = np.ones(n * 4) if tokens is None else np.repeat(tokens, 4)
    return ScoredSet(
        data=QuestionSet(level, level, items),
        after=after.reshape(n * 4, POINTS),
        bare=rng.normal(size=(n * 4, POINTS)),
        tokens=sizes,
        characters=np.ones(n * 4),
        bytes=np.ones(n * 4),
    )


def found(scored: ScoredSet, kind: ExitFinding) -> Finding:
    return next(f for f in analyse([scored], ExitSettings(), 300, 0)[1] if f.finding == kind)


def puzzles(level: str, signal: np.ndarray, n: int = 400) -> ScoredSet:
    items = tuple(Question(f"puzzle {i}", tuple("abcd"), (i % 4,), f"g{i}") for i in range(n))
    return asked(items, np.tile(signal, (n, 1)), level)


def test_the_start_of_a_straight_rise_is_where_it_leaves_the_floor():
    gains = np.maximum(0.0, DEPTH - 0.4)
    assert start_depth(gains, DEPTH) == pytest.approx(0.4, abs=0.02)
    noisy = gains + 0.05 * np.sin(40 * DEPTH) * (DEPTH < 0.4)  # below a quarter of the rise
    assert start_depth(noisy, DEPTH) == pytest.approx(0.4, abs=0.02)
    half = DEPTH[np.searchsorted(gains, gains.max() / 2)]
    assert half > 0.6


@pytest.mark.parametrize(
    ("start", "verdict"), [(0.45, "supported"), (0.0, "not supported"), (0.9, "not supported"), (0.25, "inconclusive")]
)
def test_gains_must_start_in_the_middle_half(start, verdict):
    """A rise from the first to the last exit passes half of it in the middle: its start decides, not that."""
    scored = puzzles("facts", 4 * np.clip((DEPTH - start) / (1 - start), 0, 1))
    if start == 0.0:
        assert found(scored, ExitFinding.ONSET).estimate > 0.25
    assert found(scored, ExitFinding.X4_START).verdict == verdict


@pytest.mark.parametrize(("low", "verdict"), [(2.0, "supported"), (-0.5, "not supported"), (0.06, "inconclusive")])
@pytest.mark.parametrize("level", ["logic", "reasoning"])
def test_low_exits_must_reason_above_their_baselines(level, low, verdict):
    scored = puzzles(level, np.where(DEPTH <= 1 / 3, low, 3.0), n=3000 if verdict == "not supported" else 400)
    assert found(scored, ExitFinding.X9).verdict == verdict


def sums(why: Callable[[int, int], float], pairs: int = 400) -> ScoredSet:
    """Sums of integers and of their decimal twins; `why(carries, decimals)` is the signal that a float loses."""
    rng = np.random.default_rng(3)
    items, lost = [], []
    for i in range(pairs):
        a, b = (int(x) for x in rng.integers(101, 999, 2))
        places = [int(x) for x in rng.integers(1, 3, 2)]
        shift = max(places)
        more = carries(a * 10 ** (shift - places[0]), b * 10 ** (shift - places[1]), borrow=False)
        more -= carries(a, b, borrow=False)
        texts = (f"{a} + {b}", f"{a / 10 ** places[0]:.{places[0]}f} + {b / 10 ** places[1]:.{places[1]}f}")
        for text, kind in zip(texts, ("integer", "float"), strict=True):
            items.append(Question(f"What is {text}?", tuple("abcd"), (i % 4,), f"g{i}", f"3-4 add {kind}"))
            lost.append(why(more, sum(places)) if kind == "float" else 0.0)
    signal = 1.5 - np.tile(np.array(lost)[:, None], (1, POINTS))
    return asked(tuple(items), signal, "arithmetic", tokens=1 + rng.integers(0, 3, len(items)))


def test_floats_that_are_harder_for_their_carries_are_not_harder_at_equal_carries():
    scored = sums(lambda more, decimals: 1.2 * (more + 1))
    base = sums(lambda more, decimals: 1.2 * more)  # at equal carries nothing is lost
    assert found(scored, ExitFinding.X6_CONTROLLED).verdict == "supported"
    controlled = found(base, ExitFinding.X6_CONTROLLED)
    assert controlled.verdict != "supported"
    assert abs(controlled.estimate) < 0.08


def test_floats_that_are_harder_as_such_are_so_at_equal_carries_too():
    scored = sums(lambda more, decimals: 1.5)
    assert found(scored, ExitFinding.X6).verdict == "supported"
    assert found(scored, ExitFinding.X6_CONTROLLED).verdict == "supported"
    assert found(scored, ExitFinding.X6_PRECISION).verdict == "inconclusive"
    assert found(sums(lambda more, decimals: -1.5), ExitFinding.X6_CONTROLLED).verdict == "not supported"


def test_floats_that_get_harder_with_decimals_are_seen_to():
    assert found(sums(lambda more, decimals: 0.8 * (decimals - 1)), ExitFinding.X6_PRECISION).verdict == "supported"
    assert found(sums(lambda more, decimals: 0.8 * (4 - decimals)), ExitFinding.X6_PRECISION).verdict == "not supported"


def test_a_control_that_every_float_has_more_of_cannot_be_taken_away():
    scored = sums(lambda more, decimals: 1.5)
    tokens = np.repeat(np.tile([1.0, 2.0], 400), 4)
    stuck = ScoredSet(
        data=scored.data, after=scored.after, bare=scored.bare, tokens=tokens, characters=scored.characters,
        bytes=scored.bytes,
    )  # fmt: skip
    controlled = found(stuck, ExitFinding.X6_CONTROLLED)
    assert controlled.verdict == "inconclusive"
    assert "tokens differ by the same in every pair" in controlled.statement


@pytest.mark.parametrize(
    ("a", "b", "borrow", "count"), [(47, 82, False, 1), (99, 1, False, 2), (12, 34, False, 0), (100, 1, True, 2),
                                    (47, 42, True, 0), (5, 12, True, 1)]
)  # fmt: skip
def test_carries_are_counted(a, b, borrow, count):
    assert carries(a, b, borrow=borrow) == count


LAST = Finding(
    finding=ExitFinding.LAST_EXIT, level="logic", component="resid", method="sum", statement="The last exit.",
    estimate=0.1, lo=0.05, hi=0.15, p=0.01, null="equal", verdict="supported", n=100,
)  # fmt: skip


def test_the_exit_before_the_last_is_the_last_exit_turned_round():
    other = turned(LAST)
    assert (other.estimate, other.lo, other.hi, other.verdict) == (-0.1, -0.15, -0.05, "not supported")
    assert turned(other) == LAST
    assert turned(turned(LAST)).verdict == "supported"


@pytest.mark.parametrize(("claim", "level"), [("x3_logic", "logic"), ("x3_languages", "cross-lingual")])
@pytest.mark.parametrize(
    ("last", "verdict"),
    [("not supported", "supported"), ("supported", "not supported"), ("inconclusive", "inconclusive")],
)
def test_the_last_exits_of_one_level_decide_its_claim(tmp_path, claim, level, last, verdict):
    levels = (level, "facts")  # what other levels do decides nothing
    rows = [replace(LAST, level=name, verdict=last if name == level else "supported") for name in levels]
    manifest = {"spec": {"study": "exits"}, "model": {"name": "m", "parameters": 1e9}}
    run = FinishedRun(tmp_path, manifest=manifest, findings=finding_table(rows, "m", "exits"))
    assert registry.get("claims", claim).judge([run]).verdict == verdict
    none = FinishedRun(tmp_path, manifest=manifest, findings=finding_table(rows[1:], "m", "exits"))
    assert registry.get("claims", claim).judge([none]).needs.startswith("layeratlas run exits with the task")
