"""The curves of `best_layer.py`: every data set of a run on random halves of the groups, in each way of reading it.

Halves are the same for all data sets: a group that two of them share is on one side in both. A data set is read as in
the run (`OWN`), in its other wordings (`REWORDED`), and in a template of this benchmark (`TEMPLATE`); data sets of more
than MOST_WORDS words as in the run alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from layeratlas.core.spec import Component, RunSpec
from layeratlas.data.items import WORDINGS, Dataset, Item
from layeratlas.probes import Design, make_folds, probe_layer, training_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.pipeline import make_material
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import chance, measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.store.rows import points_of
from layeratlas.studies.hierarchy.directing import kept_vectors, load_data, read_again
from layeratlas.studies.hierarchy.study import PLUGIN

OWN, TEMPLATE = "own", "template"
REWORDED = tuple(f"wording{number}" for number in range(1, WORDINGS))
# Texts of at most so many words are put into the first template, longer ones into the second.
FEW_WORDS = 8
SHORT, LONG = "They were talking about {text}", "They read the next text aloud: {text}"
MOST_WORDS = 12_000
# Bootstrap draws of a half, for the noise of its curve.
BOOTSTRAP = 150


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set of a run with its vectors (layers, n, d) in each way of reading it."""

    data: Dataset
    vectors: Mapping[str, np.ndarray]
    spec: RunSpec


@dataclass(frozen=True, kw_only=True)
class Halves:
    """The curves of one data set on the two halves of some splits.

    `curves[split, side, view]`: the score of every layer and its bootstrap, (1 + B, layers); `chance`: that of
    guessing.
    """

    name: str
    level: str
    texts: int
    chance: float
    curves: Mapping[tuple[int, int, str], np.ndarray]


def retold(item: Item) -> Item:
    """Return a text in another template; a BOS or an article before it is no longer first."""
    if len(item.text.split()) > FEW_WORDS:
        return replace(item, text=LONG.format(text=item.text), spans={})
    return replace(item, text=SHORT.format(text=f"{item.text[:1].lower()}{item.text[1:]}"), spans={})


def tasks_of(folder: Path, component: Component, most: int | None, *, wordings: bool) -> list[Task]:
    """Return the data sets whose level has a supported peak in the run, in all wordings if `wordings`."""
    run = FinishedRun(folder)
    spec = RunSpec(**run.manifest["spec"])
    decoded = {finding.level for finding in run.of_kind("peak", component) if finding.verdict == "supported"}
    layers = range(points_of(folder / "activations", component))
    reworded = {item.text: item.wordings for data in make_material(PLUGIN, spec) for item in data.items}
    names = [record["name"] for record in run.manifest["datasets"] if record["level"] in decoded][:most]
    sets = [_with_wordings(load_data(run, name), reworded) for name in names]
    vectors = [{OWN: kept_vectors(run, data, component, layers)} for data in sets]
    short = [at for at, data in enumerate(sets) if sum(len(text.split()) for text in data.texts) <= MOST_WORDS]
    ways: dict[str, Callable[[Dataset], Dataset]] = {
        name: partial(Dataset.reworded, number=number) for number, name in enumerate(REWORDED, 1)
    }
    ways = (ways if wordings else {}) | {TEMPLATE: lambda data: replace(data, items=tuple(map(retold, data.items)))}
    for name, way in ways.items():
        read = _read_together(run, spec, [way(sets[at]) for at in short], component, layers)
        for at, x in zip(short, read, strict=True):
            vectors[at][name] = x
        print(f"{folder.name}: texts of {len(short)} data sets read as {name}", flush=True)
    return [Task(data=data, vectors=x, spec=spec) for data, x in zip(sets, vectors, strict=True)]


def _with_wordings(data: Dataset, wordings: Mapping[str, tuple[str, ...]]) -> Dataset:
    """Return a data set whose texts have their own wordings again, which a run does not keep."""
    return replace(data, items=tuple(replace(item, wordings=wordings.get(item.text, ())) for item in data.items))


def _read_together(
    run: FinishedRun, spec: RunSpec, sets: Sequence[Dataset], component: Component, layers: range
) -> list[np.ndarray]:
    """Return the vectors of each data set, (layers, n, d), from one load of the model; each text is read once."""
    places = {text: place for place, text in enumerate(dict.fromkeys(text for data in sets for text in data.texts))}
    items = tuple(Item(text, str(place % 2), str(place)) for text, place in places.items())
    texts = Dataset("texts", "texts", items)  # labels and groups of their own: two sets may share a text
    vectors = read_again(run, spec, texts, component, layers).astype(np.float32)
    return [vectors[:, [places[text] for text in data.texts]] for data in sets]


def first_half(sets: Sequence[Sequence[str]], seed: int) -> set[str]:
    """Return the groups of a random half, from the groups of every data set.

    Groups that occur in the same data sets are split among themselves, so that every data set is halved.
    """
    homes: dict[str, list[int]] = defaultdict(list)
    for number, groups in enumerate(sets):
        for group in sorted(set(groups)):
            homes[group].append(number)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for group, where in sorted(homes.items()):
        alike[tuple(where)].append(group)
    rng, first = np.random.default_rng(seed), set()
    for _, members in sorted(alike.items()):
        first |= set(rng.permutation(members)[: (len(members) + rng.integers(2)) // 2].tolist())
    return first


def scores(task: Task, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the cross-validated score of every layer on some of the texts, then its bootstrap, (1 + B, layers).

    The bootstrap is widened as that of a run, for few groups and the training of the probe.
    """
    data = replace(task.data, items=tuple(task.data.items[i] for i in rows))
    y, probe = data.y, task.spec.probe
    folds = tuple(make_folds(data, probe.folds, 1, task.spec.seed))
    # Controls are not needed here, and shuffling labels within groups would take most of the time.
    design = Design(data=data, folds=folds, repeats=1, y=y, shuffled=y[None], strata=("all",), spec=probe)
    measure = next(iter(measures_for(data.kind, design.classes).values()))
    groups = [item.group for item in data.items]
    weights = Resampler(groups, BOOTSTRAP, task.spec.seed).weights(groups, halves=False)
    held_out = np.stack([probe_layer(x[rows], design, ["ridge"])[0].scores for x in vectors])
    values = np.stack([measure(one, design.y, weights).reshape(1 + BOOTSTRAP, -1).mean(1) for one in held_out], 1)
    values = np.where(np.isfinite(values), values, values[:1])
    draws = widened(values[0], values[1:], len(set(groups)), times=training_of(held_out, design), most=1.0)
    return np.concatenate([values[:1], draws])


def measure(tasks: Sequence[Task], splits: int, strata: bool = False) -> Iterator[Halves]:
    """Yield the curves of every data set; with `strata` whole strata are halved, where a data set has some."""
    names = [[item.stratum if strata else item.group for item in task.data.items] for task in tasks]
    for number, task in enumerate(tasks):
        if strata and len(set(names[number])) < 2:
            continue
        curves = {}
        for split in range(splits):
            first = first_half(names[number : number + 1] if strata else names, split)
            inside = np.array([one in first for one in names[number]])
            for (side, half), (view, x) in product(enumerate((inside, ~inside)), task.vectors.items()):
                if not strata or view == OWN:
                    curves[split, side, view] = scores(task, x, np.flatnonzero(half))
        data = task.data
        name = next(iter(measures_for(data.kind, len(data.classes))))
        yield Halves(name=data.name, level=data.level, texts=len(data), chance=chance(name, data.y), curves=curves)
        print(f"{data.name}: {splits} splits probed", flush=True)


def write(found: Mapping[str, Sequence[Halves]], file: Path) -> None:
    """Write the curves of some runs to a file of arrays."""
    arrays = {
        json.dumps([run, one.name, one.level, one.texts, one.chance, *at]): curve
        for run, sets in found.items()
        for one in sets
        for at, curve in one.curves.items()
    }
    with file.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **arrays)


def read(file: Path) -> dict[str, list[Halves]]:
    """Return the curves of a file by run."""
    found: dict[tuple[str, str, str, int, float], dict[tuple[int, int, str], np.ndarray]] = defaultdict(dict)
    with np.load(file, allow_pickle=False) as arrays:
        for key, curve in arrays.items():
            *whose, split, side, view = json.loads(key)
            found[tuple(whose)][split, side, view] = curve
    runs: dict[str, list[Halves]] = defaultdict(list)
    for (run, name, level, texts, guess), curves in found.items():
        runs[run].append(Halves(name=name, level=level, texts=texts, chance=guess, curves=curves))
    return runs
