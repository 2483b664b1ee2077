"""Is the recommended layer better than a rule of thumb? It is chosen on one half of the groups and judged on the other.

    python benchmarks/best_layer.py RUN [RUN ...] [--splits 10] [--most 12] [--wordings] [--curves FILE]

RUN is a finished hierarchy run with its `activations/`. The groups of all data sets of the levels that the run decodes
are split in two halves, several times. The layer is chosen as `run.best_layer` does, from cross-validations inside one
half; every layer is then scored by a cross-validation inside the other half. Regret is the best layer's score there
less that of the chosen layer, in points of accuracy (of Spearman correlation times 100). It is never 0 on average: the
best layer of the other half is partly luck, which no rule can know. Three tables:

- the other half of the groups;
- the other half of the groups, each text put in a template that no rule has seen ("They were talking about ...");
- other strata (kinds of relations, grammatical phenomena), where a data set has some, as if it were a run of its own.

Choices from the curves: the recommended one, with `--wordings` from the mean of the curves of three wordings (the run's
own and its two others), as a run with robustness recommends; the same without the run's other levels; the recommended
one from one wording; the highest estimate. The rules of thumb are the last layer, the middle layer, the layer at two
thirds of the depth and a random layer.

`--most` takes the first data sets of each run alone. Reading and probing take minutes to hours, the rest seconds:
`--curves` keeps the curves in a file, and reads them from there if it exists. Intervals are 95 % over data sets
(Student's t). The last column subtracts the recommended layer's regret from the rule's, on the same data sets: above 0,
the recommended layer is better. The last line of a table says whether it is shown to be better than every rule of thumb
(an intersection-union test). No rule that takes one layer per data set is below the floor: the layer with the least
mean regret, chosen in sight of the halves that judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy
from best_layer_curves import OWN, REWORDED, TEMPLATE, Halves, measure, read, tasks_of, write

from layeratlas.stats.best_layers import Expected, best_layers, choose, noise_of
from layeratlas.stats.common_curve import common_curve
from layeratlas.stats.verdicts import Effect, Verdict, all_hold

RECOMMENDED, ALONE, HIGHEST = "recommended", "from its curve alone", "highest estimate"
ONE_WORDING, RANDOM, FLOOR = "from one wording", "random layer (mean)", "floor (seen)"
RULES = {"last layer": 1.0, "middle layer": 0.5, "two thirds": 2 / 3}
# How the half that judges is read.
SAME, RETOLD, STRATA = "other half of the groups", "other half in another template", "other strata"
JUDGED = {SAME: OWN, RETOLD: TEMPLATE}
Curves = Mapping[str, np.ndarray]
Row = dict[str, float]


def shortfall(judged_on: np.ndarray) -> np.ndarray:
    """Return how many points each layer is below the best one, from scores (1 + B, layers)."""
    return 100 * (judged_on[0].max() - judged_on[0])


def expected_of(one: Halves, sets: Sequence[Halves], at: tuple[int, int]) -> Expected | None:
    """Return what the same half of the run's other levels says of a curve."""
    others = [_share(other, other.curves[*at, OWN]) for other in sets if other.level != one.level]
    return common_curve([(curve[0], curve[1:]) for curve in others])


def chosen_from(curve: np.ndarray, expected: Expected | None) -> int:
    """Return the layer that a run recommends from a curve and its bootstrap, (1 + B, layers)."""
    estimate, draws = curve[0], curve[1:]
    return choose(estimate, noise_of(draws), best_layers(estimate, draws).inside, expected)


def choices(one: Halves, at: tuple[int, int], expected: Expected | None) -> dict[str, int]:
    """Return the layer that every rule takes for a data set, by its curves on one half."""
    views = {view: _share(one, one.curves[*at, view]) for view in (OWN, *REWORDED) if (*at, view) in one.curves}
    own = views[OWN]
    last = own.shape[1] - 1
    every = np.mean(list(views.values()), 0)
    one_wording = {ONE_WORDING: chosen_from(own, expected)} if len(views) > 1 else {}
    return {
        RECOMMENDED: chosen_from(every, expected),
        ALONE: chosen_from(every, None),
        **one_wording,
        HIGHEST: int(own[0].argmax()),
        **{name: round(depth * last) for name, depth in RULES.items()},
    }


def regrets(one: Halves, sets: Sequence[Halves]) -> dict[str, Row]:
    """Return, by how the other half is read, the mean regret of every rule over the splits, in points.

    `sets` are all data sets of the run, whose other levels the recommended layer of this one depends on.
    """
    rows: dict[str, list[Row]] = {}
    seen: dict[str, list[np.ndarray]] = {}
    for split, side in sorted({(split, side) for split, side, _ in one.curves}):
        chosen = choices(one, (split, side), expected_of(one, sets, (split, side)))
        for title, view in JUDGED.items():
            if (split, 1 - side, view) in one.curves:
                behind = shortfall(one.curves[split, 1 - side, view])
                row = {rule: float(behind[layer]) for rule, layer in chosen.items()}
                rows.setdefault(title, []).append(row | {RANDOM: float(behind.mean())})
                seen.setdefault(title, []).append(behind)
    return {
        title: {rule: float(np.mean([row[rule] for row in many])) for rule in many[0]}
        | {FLOOR: float(np.mean(seen[title], 0).min())}
        for title, many in rows.items()
    }


def _share(one: Halves, values: np.ndarray) -> np.ndarray:
    """Return scores as shares of the way from chance to certainty, as a run compares its levels."""
    return (values - one.chance) / (1 - one.chance)


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


def print_table(title: str, results: Sequence[Row]) -> None:
    """Print the regret of every rule, its paired difference, and the verdict."""
    print(f"\n{title}: {len(results)} data sets")
    if not results:
        return
    print(f"{'rule':<22}{'regret, points':<24}more than recommended")
    verdicts: dict[str, Verdict] = {}
    for rule in dict.fromkeys(rule for row in results for rule in row):
        having = [row for row in results if rule in row]  # other wordings are not read of every data set
        values = np.array([row[rule] for row in having])
        more = mean_of(values - np.array([row[RECOMMENDED] for row in having]))
        if rule in (*RULES, RANDOM):
            verdicts[rule] = more.verdict()
        fewer = f"  ({len(having)} data sets)" if len(having) < len(results) else ""
        print(f"{rule:<22}{shown(mean_of(values)):<24}{'' if rule == RECOMMENDED else shown(more)}{fewer}")
    decided = ", ".join(f"{rule} {verdict}" for rule, verdict in verdicts.items())
    print(f"below every rule of thumb: {all_hold(verdicts.values())} ({decided})")


def curves_of(given: argparse.Namespace) -> dict[str, list[Halves]]:
    """Return the curves of each run, those on halves of strata under a name of their own."""
    if given.curves and given.curves.exists():
        return read(given.curves)
    found: dict[str, list[Halves]] = {}
    for folder in given.runs:
        tasks = tasks_of(folder, given.component, given.most, wordings=given.wordings)
        found[folder.name] = list(measure(tasks, given.splits))
        found[f"{folder.name}, {STRATA}"] = list(measure(tasks, given.splits, strata=True))
    if given.curves:
        write(found, given.curves)
    return found


def main() -> None:
    """Print the tables of all runs together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--most", type=int, help="data sets of each run; all by default")
    parser.add_argument("--component", default="resid", choices=["resid", "attn", "mlp"])
    parser.add_argument(
        "--wordings", action="store_true", help="read the run's other wordings too, as a run with robustness does"
    )
    parser.add_argument("--curves", type=Path, help="file of the curves, written if it does not exist")
    given = parser.parse_args()
    results: dict[str, list[Row]] = {SAME: [], RETOLD: [], STRATA: []}
    for name, sets in curves_of(given).items():
        for one in sets:
            by_strata = name.endswith(STRATA)
            for title, row in regrets(one, [one] if by_strata else sets).items():
                results[STRATA if by_strata else title].append(row)
                each = ", ".join(f"{rule} {points:.2f}" for rule, points in row.items())
                print(f"{name} {one.name}, {one.texts} texts, {title}: {each}", flush=True)
    for title, many in results.items():
        print_table(title, many)


if __name__ == "__main__":
    main()
