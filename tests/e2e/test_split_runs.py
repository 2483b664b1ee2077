"""Workers that have no run left help with one in progress: its tables are those of one worker, each part done once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import families
import layeratlas as la
from layeratlas.capture import run as capturing
from layeratlas.core import registry
from layeratlas.models import LoadedModel
from layeratlas.runs import splitting
from layeratlas.runs.bucket_place import BucketPlace
from layeratlas.runs.place import FolderPlace, Place
from layeratlas.runs.workspace import Workspace
from layeratlas.store.bucket import Bucket
from layeratlas.store.shards import read_shard
from layeratlas.studies.hierarchy import cells, layers
from layeratlas.studies.hierarchy.controls import random_weights
from layeratlas.studies.segments import measuring
from layeratlas.sweeps import worker
from layeratlas.sweeps.engines.contract import Launch
from layeratlas.sweeps.engines.processes import Processes, ProcessWorker, worker_environment
from layeratlas.sweeps.plan import write_plan
from layeratlas.sweeps.reading import read_sweep
from layeratlas.sweeps.resources import Resources
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.state import Standing, run_folder, state_of
from layeratlas.sweeps.units import Unit, units_of


@pytest.fixture(autouse=True)
def many_parts(monkeypatch):
    """Post every stage at once, and cut probes into cells of one layer."""
    monkeypatch.setattr(splitting, "WORTH", 0.0)
    monkeypatch.setattr(worker, "_LOOK", 0.02)
    monkeypatch.setattr(layers, "_CELL", 1)
    monkeypatch.setattr(layers, "_CPU_NUMBERS", 1)


class Computed:
    """What the workers of a process, its threads, have computed.

    A worker waits after the first part of each kind until all others have computed one too.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[str, str, int]] = []
        self.workers = 1

    def watch(self, kind: str, function: Callable[..., Any], name: Callable[..., object]) -> Callable[..., Any]:
        def watched(*given: Any) -> Any:
            result = function(*given)
            self.parts.append((kind, str(name(*given)), threading.get_ident()))
            end = time.monotonic() + 60
            while len(self.by(kind)) < self.workers and time.monotonic() < end:
                time.sleep(0.01)
            return result

        return watched

    def by(self, kind: str) -> set[int]:
        """Return the workers that have computed parts of a kind."""
        return {thread for known, _, thread in self.parts if known == kind}


@pytest.fixture
def computed(monkeypatch) -> Computed:
    seen = Computed()
    batch = seen.watch("batch", capturing.read_batch, lambda model, batch, *_: batch.key)
    monkeypatch.setattr(capturing, "read_batch", batch)
    cell = seen.watch("cell", cells.probed_layers, lambda work, asked: (asked.component, *asked.only))
    monkeypatch.setattr(cells, "probed_layers", cell)
    passages = seen.watch("passages", measuring.PassageReader.__call__, lambda reader, ids, first: first)
    monkeypatch.setattr(measuring.PassageReader, "__call__", passages)
    return seen


def one_run(plan: Path, study: str) -> tuple[SweepSpec, Unit]:
    """Return a sweep of one run of a study."""
    sweep = read_sweep(plan)
    variants = tuple(variant for variant in sweep.variants if study in variant.studies)
    one = sweep.model_copy(update={"models": sweep.models[:1], "studies": (study,), "variants": variants})
    (unit,) = units_of(one)
    return one, unit


def run_by(workers: int, sweep: SweepSpec, out: Path, place: Place | None = None) -> Path:
    """Run a sweep of one run on workers in threads, and return the run's folder."""
    (unit,), place = units_of(sweep), place or FolderPlace(out)
    plan = write_plan(place, sweep)
    threads = [threading.Thread(target=worker.work, args=(place.address, plan)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state_of(place, unit).standing is Standing.DONE, state_of(place, unit).reason
    place.bring(f"runs/{unit.name}")
    return run_folder(place, unit)


def same_numbers(folder: Path, expected: Path) -> None:
    """Check that two runs have equal tables and equal scores, to the last bit."""
    names = sorted(path.relative_to(expected) for path in expected.rglob("*.parquet"))
    assert names == sorted(path.relative_to(folder) for path in folder.rglob("*.parquet")) != []
    for name in names:
        assert_frame_equal(pl.read_parquet(folder / name), pl.read_parquet(expected / name), check_exact=True)
    key = json.loads((expected / "run.json").read_text())["key"]
    for path in sorted((expected / "scores").glob("*.safetensors")):
        ours, theirs = read_shard(folder / "scores" / path.name, key), read_shard(path, key)
        assert ours.keys() == theirs.keys()
        assert all((ours[name] == theirs[name]).all() for name in theirs)


def check_workers(
    workers: int, sweep: SweepSpec, out: Path, computed: Computed, kinds: set[str], place: Place | None = None
) -> None:
    alone = run_by(1, sweep, out / "alone")
    once = Counter(part[:2] for part in computed.parts)
    computed.parts.clear()
    computed.workers = workers
    together = run_by(workers, sweep, out / "together", place)
    # Each part is computed once, by one of the workers, and each worker computes some.
    assert Counter(part[:2] for part in computed.parts) == once
    assert {kind: len(computed.by(kind)) for kind in kinds} == dict.fromkeys(kinds, workers)
    same_numbers(together, alone)
    units = together.parents[1] / "units"
    left = {path.name for path in [*together.iterdir(), *units.glob("*/*")]}
    assert left & {"cells", "order.json", "parts", "run.lock"} == set()
    assert not list(together.rglob("*.part"))


def test_two_workers_share_a_run(plan, tmp_path, computed, monkeypatch):
    # The later stages, which one worker computes from these, take most of the time.
    study = type(registry.get("studies", "hierarchy"))
    whole = study.stages
    monkeypatch.setattr(study, "stages", lambda self: {name: whole(self)[name] for name in ("capture", "probe")})
    check_workers(2, one_run(plan, "hierarchy")[0], tmp_path, computed, {"batch", "cell"})


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Bucket:
    """A bucket in memory, in which the workers of this process work; each has its own copy of a run."""
    stores = pytest.importorskip("obstore.store")
    bucket = Bucket(stores.MemoryStore(), "s3://memory/x")
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(BucketPlace, "pause", 0.02)

    def place_of(out: str, *, apart: bool) -> Place:
        return BucketPlace(bucket, apart=apart) if out == bucket.url else FolderPlace(Path(out))

    monkeypatch.setattr(worker, "place_of", place_of)
    return bucket


def test_two_workers_share_a_run_in_a_bucket(plan, tmp_path, computed, monkeypatch, bucket):
    study = type(registry.get("studies", "hierarchy"))
    whole = study.stages
    monkeypatch.setattr(study, "stages", lambda self: {name: whole(self)[name] for name in ("capture", "probe")})
    sweep, unit = one_run(plan, "hierarchy")
    check_workers(2, sweep, tmp_path, computed, {"batch", "cell"}, BucketPlace(bucket))
    # No order, no lease of a part and no cell is left in the bucket either.
    left = set(bucket.entries())
    assert {name for name in left if name.startswith("units/")} == {
        f"units/{unit.name}/{name}" for name in ("run.lock", "state.json")
    }
    assert not [name for name in left if "/cells/" in name or ".part" in name]
    assert [name for name in left if "/activations/" in name]


@pytest.mark.truth
def test_two_workers_share_every_stage_of_a_run_in_a_bucket(plan, tmp_path, computed, bucket):
    sweep, _ = one_run(plan, "hierarchy")
    check_workers(2, sweep, tmp_path, computed, {"batch", "cell"}, BucketPlace(bucket))


@pytest.mark.truth
def test_three_workers_share_a_run(plan, tmp_path, computed):
    check_workers(3, one_run(plan, "hierarchy")[0], tmp_path, computed, {"batch", "cell"})


@pytest.mark.truth
def test_two_workers_share_the_stages_of_random_weights_and_robustness(plan, tmp_path, computed, monkeypatch):
    # Workers are threads here, and would draw from one generator at once.
    one_at_a_time, drawn = threading.Lock(), random_weights.random_weight_model

    def one_by_one(work: Workspace) -> LoadedModel | None:
        with one_at_a_time:
            return drawn(work)

    monkeypatch.setattr(random_weights, "random_weight_model", one_by_one)
    scores = computed.watch(
        "scores", layers.probed_layers, lambda work, asked: (asked.design.data.name, asked.rows.sum())
    )
    monkeypatch.setattr(layers, "probed_layers", scores)
    sweep, _ = one_run(plan, "hierarchy")
    settings = {"hierarchy": {"random_weights": True, "robustness": True}}
    sweep = sweep.model_copy(update={"settings": settings, "variants": ()})
    check_workers(2, sweep, tmp_path, computed, {"batch", "cell", "scores"})
    (run,) = (tmp_path / "together" / "runs").iterdir()
    assert not [path.name for path in run.iterdir() if path.name.startswith(("wording", "random_weights"))]


@pytest.fixture(scope="session")
def deep(tmp_path_factory) -> Path:
    """A model with enough blocks for segments."""
    config = families.FAMILIES["llama"]()
    config.num_hidden_layers, config.max_position_embeddings = 8, 256
    return families.save(tmp_path_factory.mktemp("deep") / "deep", config)


@pytest.mark.truth
@pytest.mark.parametrize("study", ["exits", "segments"])
def test_workers_share_a_run_of_another_study(plan, deep, tmp_path, computed, study):
    if study == "exits":
        sweep, _ = one_run(plan, "exits")
        (variant,) = sweep.variants
        options = {**variant.options, "capture": {"batch_tokens": 16}}
        sweep = sweep.model_copy(update={"variants": (variant.model_copy(update={"options": options}),)})
    else:
        sweep = SweepSpec(
            models=(str(deep),),
            studies=("segments",),
            size="quick",
            settings={"segments": {"tokens": 32, "view_passages": 4}},
        )
    check_workers(2, sweep, tmp_path, computed, {"batch"} if study == "exits" else {"passages"})


# A worker that posts every stage at once, cuts probes as above, takes a while for each part, and waits in its first
# one until another worker is in one too.
_SLOW = """
import sys
import time
from pathlib import Path
from layeratlas.capture import run
from layeratlas.runs import splitting
from layeratlas.studies.hierarchy import cells, layers
from layeratlas.studies.hierarchy.controls import random_weights
from layeratlas.sweeps import worker

end = time.monotonic() + 120

def slow(function):
    def slowly(*given):
        global end
        while len(list(Path(sys.argv[1]).glob("units/*/parts/*/run.lock"))) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        end = 0.0
        time.sleep(0.5)
        print("takes", function.__name__, flush=True)
        return function(*given)
    return slowly

splitting.WORTH, layers._CELL, layers._CPU_NUMBERS = 0.0, 1, 1
run._CPU_TOKENS = 64
run.stream, run.read_batch, cells.probed_layers = slow(run.stream), slow(run.read_batch), slow(cells.probed_layers)
worker.main()
"""


class SlowProcesses(Processes):
    """Starts such workers as processes."""

    def start(self, launch: Launch, slot: int) -> ProcessWorker:
        log = (launch.out / f"{slot}.log").open("ab")
        environment = {**os.environ, **worker_environment(launch.share.threads)}
        command = [sys.executable, "-c", _SLOW, launch.address, launch.plan, str(os.getpid())]
        return ProcessWorker(subprocess.Popen(command, env=environment, stdout=log, stderr=log), log)


def kill_one(unit: Path, stage: str, role: str, killed: list[int]) -> None:
    """Kill the owner of a run, or a helper, once both are in a part of a stage."""
    end = time.monotonic() + 300
    while time.monotonic() < end and not killed:
        time.sleep(0.005)
        try:
            owner = json.loads((unit / "run.lock").read_text())["pid"]
            posted = json.loads((unit / "order.json").read_text())["stage"]
            holders = {json.loads(path.read_text())["pid"] for path in unit.glob("parts/*/run.lock")}
        except (OSError, ValueError):
            continue
        if posted == stage and len(holders) == 2 and owner in holders:
            killed.append(owner if role == "owner" else next(iter(holders - {owner})))
            os.kill(killed[0], signal.SIGKILL)


@pytest.mark.truth
@pytest.mark.parametrize(("stage", "role"), [("capture", "helper"), ("capture", "owner"), ("probe", "helper")])
def test_a_worker_that_is_killed_in_its_part_changes_no_number(plan, tmp_path, stage, role):
    sweep, unit = one_run(plan, "hierarchy")
    alone = run_by(1, sweep, tmp_path / "alone")
    out, killed = tmp_path / "out", list[int]()
    killer = threading.Thread(target=kill_one, args=(out / "units" / unit.name, stage, role, killed))
    killer.start()
    result = la.sweep(sweep, out=out, resources=Resources(workers=2, threads=1), engine=SlowProcesses())
    killer.join()
    assert killed, "no worker was killed"
    assert not result.failed
    assert result.states[unit.name].attempts == (2 if role == "owner" else 1)
    same_numbers(run_folder(result.place, unit), alone)


@pytest.mark.truth
@pytest.mark.parametrize(
    ("options", "taken"),
    [({"weights": "streamed"}, "stream"), ({"parallel": 2, "device": "cpu"}, "read_batch")],
    ids=["streamed", "parallel"],
)
def test_workers_share_a_run_whose_model_does_not_fit(plan, tmp_path, options, taken):
    """Each worker sweeps over all blocks for its own texts, or has processes of its own."""
    sweep, _ = one_run(plan, "hierarchy")
    alone = run_by(1, sweep, tmp_path / "alone")
    (variant,) = sweep.variants
    variant = variant.model_copy(update={"options": {**variant.options, **options}})
    sweep, out = sweep.model_copy(update={"variants": (variant,)}), tmp_path / "out"
    one = la.sweep(sweep, out=tmp_path / "one", resources=Resources(workers=1, threads=1))
    two = la.sweep(sweep, out=out, resources=Resources(workers=2, threads=1), engine=SlowProcesses())
    assert not {**one.failed, **two.failed}
    takes = [(out / f"{slot}.log").read_text().splitlines() for slot in range(2)]
    assert all(f"takes {taken}" in lines and "takes probed_layers" in lines for lines in takes)
    (run,), (other,) = two.runs.values(), one.runs.values()
    same_numbers(run.folder, other.folder)
    if "weights" in options:  # where weights are changes no number
        same_numbers(run.folder, alone)
    assert not list(run.folder.rglob(".hidden-*"))
