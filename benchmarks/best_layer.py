"""Is the recommended layer better than a rule of thumb? It is chosen on one half of the groups and judged on the other.

    python benchmarks/best_layer.py RUN [RUN ...] [--splits 10] [--most 12] [--component resid]

RUN is a finished hierarchy run with its `activations/`. For each data set of a level that the run decodes, the groups
are split in two halves, several times. The layer is chosen as `run.best_layer` does, from a cross-validation inside one
half; every layer is then scored by a cross-validation inside the other half. Regret is the best layer's score there
less that of the chosen layer, in points of accuracy (of Spearman correlation times 100). It is never 0 on average: the
best layer of the other half is partly luck, which no rule can know. Three tables:

- the other half of the groups;
- the other half of the groups, each text put in another template ("They were talking about ..."), read from the model;
- other strata (kinds of relations, grammatical phenomena), where a data set has some.

The rules of thumb are the last layer, the middle layer, the layer at two thirds of the depth and a random layer.
`--most` takes the first data sets of each run alone. Intervals are 95 % over data sets (Student's t). The last column
subtracts the recommended layer's regret from the rule's, on the same data sets: above 0, the recommended layer is
better. The last line of a table says whether it is shown to be better than every rule of thumb (an intersection-union
test). No rule that takes one layer per data set is below the floor: the layer with the least mean regret, chosen in
sight of the halves that judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import scipy

from layeratlas.core.spec import Component, RunSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design, probe_layer
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.best_layers import choose, noise_of
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import Effect, Verdict, all_hold
from layeratlas.store.rows import points_of
from layeratlas.studies.hierarchy.directing import kept_vectors, load_data, read_again

RECOMMENDED, HIGHEST, RANDOM = "recommended", "highest estimate", "random layer (mean)"
FLOOR = "floor (seen)"
RULES = {"last layer": 1.0, "middle layer": 0.5, "two thirds": 2 / 3}
# How the half that judges is read.
SAME, TEMPLATE, STRATA = "other half of the groups", "other half in another template", "other strata"
# Texts of at most so many words are put in another template.
FEW_WORDS = 8
# Bootstrap draws of the half that chooses, for the noise of its curve.
BOOTSTRAP = 300


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set with its vectors (layers, n, d), and those of its texts in another template."""

    data: Dataset
    vectors: np.ndarray
    retold: np.ndarray | None
    spec: RunSpec


def retold(item: Item) -> Item:
    """Return a text in another template; a BOS or an article before it is no longer first."""
    return replace(item, text=f"They were talking about {item.text[:1].lower()}{item.text[1:]}", spans={})


def tasks_of(folder: Path, component: Component) -> Iterator[Task]:
    """Yield the data sets whose level has a supported peak in the run."""
    run = FinishedRun(folder)
    spec = RunSpec(**run.manifest["spec"])
    decoded = {finding.level for finding in run.of_kind("peak", component) if finding.verdict == "supported"}
    layers = range(points_of(folder / "activations", component))
    for record in run.manifest["datasets"]:
        if record["level"] not in decoded:
            continue
        data = load_data(run, record["name"])
        other = None
        if max(len(text.split()) for text in data.texts) <= FEW_WORDS:
            other = read_again(run, spec, replace(data, items=tuple(map(retold, data.items))), component, layers)
        yield Task(data=data, vectors=kept_vectors(run, data, component, layers), retold=other, spec=spec)


def scores(task: Task, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the cross-validated score of every layer on some of the texts, then its bootstrap, (1 + B, layers)."""
    data = replace(task.data, items=tuple(task.data.items[i] for i in rows))
    probe = task.spec.probe.model_copy(update={"methods": ("ridge",), "repeats": 1, "shuffles": 20})
    design = make_design(data, probe, task.spec.seed)
    design = replace(design, shuffled=design.shuffled[:1])
    measure = next(iter(measures_for(data.kind, design.classes).values()))
    groups = [item.group for item in data.items]
    weights = Resampler(groups, BOOTSTRAP, task.spec.seed).weights(groups, halves=False)
    held_out = (probe_layer(x[rows], design, ["ridge"])[0].scores for x in vectors)
    return np.stack([measure(values, design.y, weights).reshape(1 + BOOTSTRAP, -1).mean(1) for values in held_out], 1)


def shortfall(judged_on: np.ndarray) -> np.ndarray:
    """Return how many points each layer is below the best one, from scores (1 + B, layers)."""
    return 100 * (judged_on[0].max() - judged_on[0])


def regrets(chosen_on: np.ndarray, judged_on: np.ndarray) -> dict[str, float]:
    """Return the regret of every rule, in points, from scores (1 + B, layers) of the two halves."""
    estimate, draws = chosen_on[0], chosen_on[1:]
    last = len(estimate) - 1
    behind = shortfall(judged_on)
    rules = {name: float(behind[round(depth * last)]) for name, depth in RULES.items()}
    chosen = choose(estimate, noise_of(draws), np.ones(len(estimate), bool))
    highest = {HIGHEST: float(behind[estimate.argmax()])}
    return {RECOMMENDED: float(behind[chosen]), **highest, **rules, RANDOM: float(behind.mean())}


def halves(names: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a random half of the names, and those of the other half."""
    known = rng.permutation(np.unique(names))
    first = np.isin(names, known[: len(known) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def measure(task: Task, names: np.ndarray, splits: int) -> dict[str, dict[str, float]]:
    """Return, by how the other half is read (as it is, or in another template), the mean regret of every rule."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, float]]] = {}
    seen: dict[str, list[np.ndarray]] = {}
    for _ in range(splits):
        parts = halves(names, rng)
        chosen = [scores(task, task.vectors, part) for part in parts]
        judged = {SAME: chosen}
        if task.retold is not None:
            judged[TEMPLATE] = [scores(task, task.retold, part) for part in parts]
        for view, curves in judged.items():
            rows.setdefault(view, []).extend([regrets(chosen[0], curves[1]), regrets(chosen[1], curves[0])])
            seen.setdefault(view, []).extend(map(shortfall, curves))
    return {
        view: {rule: float(np.mean([row[rule] for row in many])) for rule in many[0]}
        | {FLOOR: float(np.mean(seen[view], 0).min())}
        for view, many in rows.items()
    }


def mean_of(values: np.ndarray) -> Effect:
    """Return a mean over data sets with its 95 % interval (Student's t: data sets are few)."""
    if len(values) < 2:
        return Effect(estimate=float(values.mean()), lo=-np.inf, hi=np.inf)
    if not values.std():
        return Effect(estimate=float(values[0]), lo=float(values[0]), hi=float(values[0]))
    lo, hi = scipy.stats.ttest_1samp(values, 0.0).confidence_interval()
    return Effect(estimate=float(values.mean()), lo=float(lo), hi=float(hi))


def shown(effect: Effect) -> str:
    """Return an effect as text of one width."""
    return f"{effect.estimate:6.2f} [{effect.lo:5.2f}, {effect.hi:5.2f}]"


def print_table(title: str, results: list[dict[str, float]]) -> None:
    """Print the regret of every rule, its paired difference, and the verdict."""
    print(f"\n{title}: {len(results)} data sets")
    if not results:
        return
    print(f"{'rule':<22}{'regret, points':<24}more than recommended")
    verdicts: dict[str, Verdict] = {}
    for rule in results[0]:
        values = np.array([row[rule] for row in results])
        more = mean_of(values - np.array([row[RECOMMENDED] for row in results]))
        if rule in (*RULES, RANDOM):
            verdicts[rule] = more.verdict()
        print(f"{rule:<22}{shown(mean_of(values)):<24}{'' if rule == RECOMMENDED else shown(more)}")
    decided = ", ".join(f"{rule} {verdict}" for rule, verdict in verdicts.items())
    print(f"below every rule of thumb: {all_hold(verdicts.values())} ({decided})")


def main() -> None:
    """Print the tables of all runs together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--most", type=int, help="data sets of each run; all by default")
    parser.add_argument("--component", default="resid", choices=["resid", "attn", "mlp"])
    given = parser.parse_args()
    results: dict[str, list[dict[str, float]]] = {SAME: [], TEMPLATE: [], STRATA: []}
    for folder in given.runs:
        for task in islice(tasks_of(folder, given.component), given.most):
            by_group = measure(task, np.array([item.group for item in task.data.items]), given.splits)
            for view, regret in by_group.items():
                results[view].append(regret)
            strata = np.array(task.data.strata)
            if len(set(strata)) > 1:
                results[STRATA].append(measure(replace(task, retold=None), strata, given.splits)[SAME])
            for view, regret in by_group.items():
                each = ", ".join(f"{rule} {points:.2f}" for rule, points in regret.items())
                print(f"{folder.name} {task.data.name}, {len(task.data.items)} texts, {view}: {each}", flush=True)
    for view, many in results.items():
        print_table(view, many)


if __name__ == "__main__":
    main()
