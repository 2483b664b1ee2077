"""Each worker of a sweep has devices of its own, also the one that takes another's place; too many are refused."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import layeratlas as la
from layeratlas.core.errors import SpecError
from layeratlas.core.progress import Progress
from layeratlas.runs.place import FolderPlace
from layeratlas.sweeps import running, worker
from layeratlas.sweeps.engines import Launch, Share, processes
from layeratlas.sweeps.engines.ray import Ray
from layeratlas.sweeps.resources import Resources
from layeratlas.sweeps.running import Sweep
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.state import Standing, end
from layeratlas.sweeps.units import units_of

UNITS = units_of(SweepSpec(models=("one",), seeds=tuple(range(8)), size="quick"))


def units_with(**options: Any) -> list[Any]:
    return units_of(SweepSpec(models=("one", "other"), size="quick", options=options))


@pytest.fixture
def gpus(monkeypatch):
    """Let this machine have so many GPUs."""

    def has(count: int) -> None:
        names = [str(index) for index in range(count)]
        monkeypatch.setattr(processes, "_devices", lambda: ("CUDA_VISIBLE_DEVICES", names))

    return has


def test_the_worker_that_replaces_another_has_its_gpu(tmp_path, gpus, monkeypatch):
    """Eight workers on eight GPUs, two of which crash, one of them twice."""
    gpus(8)
    started: list[str] = []
    place = FolderPlace(tmp_path)
    alive: dict[int, str] = {}
    crashes = iter(["3", "3", "5"])
    ids = itertools.count()

    class Process:
        def __init__(self, command: Any, env: dict[str, str], **_: Any) -> None:
            self.pid = next(ids)
            started.append(env["CUDA_VISIBLE_DEVICES"])
            assert started[-1] not in alive.values()
            alive[self.pid] = started[-1]

        def poll(self) -> int | None:
            return None if self.pid in alive else 1

    def look(seconds: float) -> None:
        crashed = next(crashes, None)
        if crashed is None:
            for unit in UNITS:
                end(place, unit, Standing.FAILED, 1, "it is over")
            alive.clear()
        for pid in [pid for pid, gpu in alive.items() if gpu == crashed]:
            del alive[pid]

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(running.time, "sleep", look)
    share = Resources(workers=8).share(processes.Processes(), UNITS)
    launch = Launch(out=tmp_path, address=str(tmp_path), plan="", share=share)
    running._Supervisor(processes.Processes(), launch, Sweep(place, UNITS), Progress()).run()
    assert started == [*"01234567", "3", "3", "5"]


@pytest.mark.parametrize(
    ("count", "asked", "options", "expected"),
    [
        (8, {}, {}, (8, 1)),
        (8, {"workers": 3}, {}, (3, 1)),
        (2, {"workers": 8}, {}, (2, 1)),
        (8, {"gpus": 2}, {}, (4, 2)),
        (2, {"workers": 8, "gpus": 0}, {}, (8, 0)),
        (0, {}, {}, (1, 0)),
        (0, {"workers": 4}, {}, (4, 0)),
        (8, {}, {"parallel": 4}, (2, 4)),
        (2, {}, {"parallel": 4}, (1, 2)),
        (8, {"workers": 4}, {"device": "cpu"}, (4, 0)),
        (8, {}, {"device": "cpu"}, (1, 0)),
        (8, {"workers": 2}, {"device": "cuda:1"}, (2, 0)),
    ],
)
def test_there_is_one_worker_per_gpu_unless_the_user_says_otherwise(gpus, count, asked, options, expected):
    gpus(count)
    share = Resources(**asked).share(processes.Processes(), units_with(**options))
    assert (share.workers, share.gpus) == expected


@pytest.mark.parametrize(
    ("count", "asked", "found"),
    [
        (1, {"gpus": 2}, "workers=1 with gpus=2 need 2 GPUs, and this machine has 1; expected at most 1"),
        (8, {"workers": 9, "gpus": 1}, "workers=9 with gpus=1 need 9 GPUs, and this machine has 8"),
        (0, {"gpus": 1}, "need 1 GPUs, and this machine has 0; expected at most 0; use gpus=0"),
        (8, {"memory": 64.0}, "processes were given memory=64.0; expected Slurm or Ray"),
    ],
)
def test_what_the_machine_cannot_give_is_refused_before_anything_starts(tmp_path, gpus, count, asked, found):
    gpus(count)
    with pytest.raises(SpecError, match=found):
        la.sweep({"models": ["one"]}, out=tmp_path / "out", resources=Resources(**asked))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("memory", [-3, 0, float("nan"), float("inf")])
def test_memory_that_is_no_amount_is_refused(memory):
    with pytest.raises(SpecError, match=r"the option memory=\S+ is invalid; expected a number, greater than 0"):
        Resources(memory=memory, on="ray")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"workers": 0}, "the option workers=0 is invalid; expected a whole number, at least 1"),
        ({"workers": "many"}, "the option workers='many' is invalid; expected a whole number, at least 1"),
        ({"threads": 1.5}, "the option threads=1.5 is invalid; expected a whole number, at least 1"),
        ({"gpu": 1}, "no option named 'gpu'; .* did you mean 'gpus'"),
        ({"on": "kube"}, "no engine named 'kube'"),
        (3, "the resources are 3; expected Resources or its fields, such as {'workers': 2}"),
        ({3: 1}, r"the resources are \{3: 1\}; expected Resources or its fields"),
    ],
)
def test_resources_that_no_worker_can_have_are_refused_in_one_line(tmp_path, asked, found):
    with pytest.raises(SpecError, match=found):
        la.sweep({"models": ["one"]}, out=tmp_path / "out", resources=asked)
    assert not (tmp_path / "out").exists()


def test_a_name_in_place_of_an_engine_is_refused_in_one_line(tmp_path):
    with pytest.raises(SpecError, match=r"the engine is 'ray'; expected an Engine; use resources=\{'on': 'ray'\}"):
        la.sweep({"models": ["one"]}, out=tmp_path / "out", engine="ray")


def test_resources_are_given_by_their_fields_too():
    assert Resources.of({"workers": 2, "on": "ray"}) == Resources(workers=2, on="ray")
    assert Resources.of(None) == Resources()


@pytest.mark.parametrize(
    ("share", "found"),
    [
        (Share(workers=2, threads=3), "3 CPUs, and Ray has 2 on this machine"),
        (Share(workers=2, threads=1, gpus=2), "2 GPUs, and Ray has 1 on this machine"),
        (Share(workers=2, threads=1, memory=64), "64 GB of memory, and Ray has 8.0 GB on this machine"),
    ],
)
def test_a_worker_for_which_ray_has_no_room_is_refused(monkeypatch, share, found):
    """Ray would let it wait for ever. A cluster may grow."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here = {"CPU": 2.0, "GPU": 1.0, "memory": 8e9}
    engine = Ray(SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: here))
    assert engine.devices() == 1
    engine.demand(Share(workers=9, threads=2, gpus=1, memory=8))
    with pytest.raises(SpecError, match=found):
        engine.demand(share)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    engine.demand(share)


def test_a_ray_worker_works_in_the_caller_s_folder_where_its_node_has_it(tmp_path, monkeypatch):
    """Workers of a cluster begin in the folder of `ray start`; paths of models and texts may be relative."""
    (tmp_path / "caller").mkdir()
    (tmp_path / "node").mkdir()
    folders = []
    monkeypatch.setattr(worker, "work", lambda *_: folders.append(Path.cwd()))

    def remote(work: Any) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *given: (work, given)))

    engine = Ray(SimpleNamespace(is_initialized=lambda: True, remote=remote))
    monkeypatch.chdir(tmp_path / "caller")
    work, given = engine.start(Launch(out=tmp_path, address="out", plan="", share=Share(workers=1, threads=1)), 0)._task
    monkeypatch.chdir(tmp_path / "node")
    work(*given)
    work(*given[:-1], str(tmp_path / "elsewhere"))
    assert folders == [tmp_path / "caller", tmp_path / "node"]
    assert Path.cwd() == tmp_path / "node"
