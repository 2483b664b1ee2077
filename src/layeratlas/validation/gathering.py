"""Compute the table of rates: run the missing simulations of all lines, a few of each line in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from layeratlas.core.processes import parallel
from layeratlas.core.progress import Progress
from layeratlas.core.spec import Size
from layeratlas.runs.lock import locked
from layeratlas.validation.cases import CASES
from layeratlas.validation.checks import CHECKS
from layeratlas.validation.rate import Count, Rate
from layeratlas.validation.simulated import SimulatedRun, simulate_case
from layeratlas.validation.table import table
from layeratlas.validation.trials import Trials

# The number of runs per case in one round; checks have a corresponding number of simulations. Rounds keep the numbers
# of simulations of all lines similar if the computation is interrupted.
_ROUND = 5


class _Job(NamedTuple):
    """Some seeds of a line, which is a case or a check; lines are numbered with the cases first."""

    line: int
    seeds: tuple[int, ...]
    size: Size


def validate(
    runs: int, size: Size = "quick", progress: Progress | None = None, seed: int = 0, out: Path | None = None
) -> list[Rate]:
    """Simulate `runs` runs of each case and return the table; `seed` is the seed of the first run.

    With a folder `out`, every simulation is kept there: the same call resumes, and a call with more runs adds to it.
    """
    if out is None:
        return _gathered(runs, size, progress or Progress(), seed, Trials(None, size))
    with locked(out):
        return _gathered(runs, size, progress or Progress(), seed, Trials(out, size))


def _gathered(runs: int, size: Size, progress: Progress, seed: int, trials: Trials) -> list[Rate]:
    jobs = _missing(runs, size, seed, trials)
    with progress.stage("simulate", sum(len(job.seeds) for job in jobs)) as step:
        for job, results in zip(jobs, parallel(_simulate, ((job,) for job in jobs), processes=True), strict=True):
            trials.add(_name(job.line), dict(zip(job.seeds, results, strict=True)))
            step.advance(len(job.seeds))
    by_case = {
        case.name: [SimulatedRun.of(trials.of(_name(line))[seed + i]) for i in range(runs)]
        for line, case in enumerate(CASES)
    }
    rates = []
    for line, check in enumerate(CHECKS, start=len(CASES)):
        known = trials.of(_name(line))
        rates.append(check.rate([Count(*known[seed + i]) for i in range(check.simulations(runs))]))
    return [*table(by_case), *rates]


def _name(line: int) -> str:
    """Return the name under which a line's results are kept."""
    if line < len(CASES):
        return f"run {CASES[line].name}"
    check = CHECKS[line - len(CASES)]
    return f"{check.finding} {check.planted}"


def _missing(runs: int, size: Size, seed: int, trials: Trials) -> list[_Job]:
    """Return the missing simulations, in rounds."""
    jobs = []
    for first in range(0, runs, _ROUND):
        last = min(first + _ROUND, runs)
        for line in range(len(CASES) + len(CHECKS)):
            known = trials.of(_name(line))
            pieces = _seeds(line, first, last)
            for piece in pieces:
                seeds = tuple(seed + i for i in piece if seed + i not in known)
                jobs += [_Job(line, seeds, size)] if seeds else []
    return jobs


def _seeds(line: int, first: int, last: int) -> Sequence[Sequence[int]]:
    """Return the seeds of a round's jobs, for runs `first` to `last` - 1: one job per run, or one per check."""
    if line < len(CASES):
        return [[i] for i in range(first, last)]
    check = CHECKS[line - len(CASES)]
    return [range(check.simulations(first), check.simulations(last))]


def _simulate(job: _Job) -> list[Any]:
    """Return the results of a job, by seed, as JSON values."""
    if job.line < len(CASES):
        return [simulate_case(CASES[job.line], job.size, seed).record() for seed in job.seeds]
    check = CHECKS[job.line - len(CASES)]
    return [list(check.simulate(seed)) for seed in job.seeds]
