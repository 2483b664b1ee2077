"""A model whose weights two processes share gives the numbers of one process, and what cannot be shared is refused.

Each test that starts processes of a model does so from a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from polars.testing import assert_frame_equal

import families
import layeratlas as la
import measuring
import small_runs
from layeratlas.__main__ import main as command_line
from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec
from layeratlas.models import links, load, starting, team
from layeratlas.models.spreading import check_spread
from layeratlas.models.starting import written
from layeratlas.runs.kept_model import KeptModel

TESTS = Path(__file__).parents[1]
# Grouped heads, sliding windows, experts, fused projections, linear attention, multipliers.
SOME = ("llama", "gemma3", "mixtral", "phi3", "qwen3_next", "granite")
# What torchrun sets for each of its processes; the script is run in all of them.
MEASURE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import measuring
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load, loading, member
from layeratlas.models.member import joined

fails = [ModelError("it does not fit here")]
works = loading.load_share

def load_share(*given):
    if fails:
        raise fails.pop()
    return works(*given)

member.load_share = loading.load_share = load_share
with joined() as leads:
    for folder in sys.argv[2:] if leads else ():
        spec = ModelSpec(id=folder, device="cpu", parallel=2)
        if folder == sys.argv[2]:
            try:
                load(spec)
            except ModelError as error:
                print(json.dumps(str(error)), flush=True)
        with load(spec) as shared:
            alone = load(spec.model_copy(update={"parallel": 1}))
            read = {name: measuring.EVERYTHING[name] for name in measuring.READ}
            apart = {name: measuring.apart(function(shared), function(alone)) for name, function in read.items()}
            shares = sum(type(weight).__name__ == "DTensor" for weight in shared.model.parameters())
        print(json.dumps({"folder": folder, "shares": shares, **apart}), flush=True)
"""
LIVES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import measuring, psutil
from layeratlas.core.errors import AtlasError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import intervene, load, loading

def said(do):
    try:
        do()
    except AtlasError as error:
        return str(error)

def refuse(*_):
    raise AtlasError("the leader alone refuses it")

first, other = (ModelSpec(id=folder, device="cpu", parallel=2) for folder in sys.argv[2:])
model = load(first)
shown = {"second": said(lambda: load(other)), "intervention": said(lambda: intervene(model, []).__enter__())}
model.team.others[0].kill()
shown["ended"] = said(lambda: measuring.packed(model))
demand, loading.demand_shared = loading.demand_shared, refuse
shown["failed"] = said(lambda: load(other))
loading.demand_shared = demand
shown["after the failure"] = len(psutil.Process().children())
model = load(other)
alone = load(other.model_copy(update={"parallel": 1}))
shown["apart"] = measuring.apart(measuring.packed(model), measuring.packed(alone))
shown["open"] = len(psutil.Process().children())
del model
shown["forgotten"] = len(psutil.Process().children())
print(json.dumps(shown))
"""


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, str(TESTS), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def run_in_two(script: str, *arguments: object) -> str:
    """Run a script in two processes as torchrun runs it, and return what the leader prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    names = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-c", script, str(TESTS), *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    leader, other = (
        subprocess.Popen(command, env=os.environ | names | {"RANK": rank, "LOCAL_RANK": rank}, **pipes)
        for rank in ("0", "1")
    )
    out, errors = leader.communicate(timeout=600)
    assert leader.returncode == 0, errors[-2000:]
    errors = other.communicate(timeout=60)[1]
    assert other.returncode == 0, errors[-2000:]
    return out


def largest_difference(folders: Sequence[Path]) -> float:
    """Return the largest difference of two processes from one, over models whose weights are shared indeed.

    A load that fails in both before that leaves them in step.
    """
    failed, *lines = [json.loads(line) for line in run_in_two(MEASURE, *folders).splitlines()]
    assert failed == "it does not fit here"
    assert len(lines) == len(folders)
    assert min(line["shares"] for line in lines) > 0
    return max(line[name] for line in lines for name in measuring.READ)


def test_two_processes_give_the_numbers_of_one(folder_of):
    assert largest_difference([folder_of(family) for family in SOME]) < 1e-5


@pytest.mark.truth
def test_every_family_with_a_plan_is_the_same_in_two_processes(folder_of):
    planned = [
        family
        for family, config in families.FAMILIES.items()
        if getattr(config().get_text_config(), "base_model_tp_plan", None) and is_shared(folder_of(family))
    ]
    difference = largest_difference([folder_of(family) for family in planned])
    print(f"{len(planned)} families in two processes: largest difference {difference:.1e}")
    assert len(planned) > 20
    assert difference < 1e-5


def test_a_plan_that_names_no_weight_is_refused_before_any_is_read(folder_of, tmp_path):
    """Else each process would hold the whole model, and nothing would be gained."""
    for family in ("nemotron_h", *SOME):
        folder = shutil.copytree(folder_of(family), tmp_path / family)
        for weights in folder.glob("*.safetensors"):
            weights.write_bytes(b"not a weight in it")
        spec = ModelSpec(id=str(folder), device="cpu", parallel=2)
        if family != "nemotron_h":
            check_spread(spec)
            continue
        with pytest.raises(ModelError, match="shares none of its weights; expected a plan that shares some; use --"):
            load(spec)


def is_shared(folder: Path) -> bool:
    """Tell whether two processes can share the heads of a model."""
    try:
        check_spread(ModelSpec(id=str(folder), parallel=2))
    except ModelError:
        return False
    return True


@pytest.mark.truth
@pytest.mark.thin
def test_processes_live_as_long_as_their_model(folder_of):
    """A second model is refused while one is open, and gets numbers of its own after; nothing outlives its model."""
    shown = json.loads(run(LIVES, folder_of("llama"), folder_of("qwen3")))
    assert shown["second"] == (
        "this process has a model open that is spread over 2 processes; expected one such model at a time; "
        "close it first: model.close(), or with load(...) as model"
    )
    assert "are spread over 2 processes; expected a model in one process for interventions" in shown["intervention"]
    assert shown["ended"] == "a process of --parallel has ended; expected all running; run the same command again"
    assert (shown["failed"], shown["after the failure"]) == ("the leader alone refuses it", 0)
    assert shown["apart"] < 1e-5
    assert (shown["open"], shown["forgotten"]) == (1, 0)


class FakeLink:
    """A link to no process, which notes what is said."""

    def __init__(self, count: int) -> None:
        self.count, self.broken = count, False
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.said.append(name) or name == "have_told"

    def errors(self) -> list[str]:
        return []

    def send(self, _, words: dict[str, str]) -> None:
        self.said += words


@pytest.fixture
def started(monkeypatch):
    """Replace the starting of processes; returns the links of those that were started."""
    links: list[FakeLink] = []

    def start(spec: ModelSpec) -> tuple[Any, Any]:
        links.append(FakeLink(spec.parallel))
        return links[-1], tuple(subprocess.Popen(["sleep", "60"]) for _ in range(spec.parallel - 1))

    monkeypatch.setattr(team, "start", start)
    monkeypatch.setattr(team, "_SETTLE", 0.0)
    return links


def test_each_model_gets_the_number_of_processes_that_it_asks_for(started):
    for count in (2, 3):
        with team.opened(ModelSpec(parallel=count)) as opened:
            assert (opened.count, len(opened.others)) == (count, count - 1)
        opened.close()
        opened.close()  # a second time does nothing
        with pytest.raises(ModelError, match="was used after it was closed"):
            opened.announce_pass(torch.zeros(1, 2), None, None, logits=False)
        assert all(process.poll() is not None for process in opened.others)
    assert [link.said.count("cut") for link in started] == [1, 1]


@pytest.mark.parametrize("error", [ModelError("refused"), KeyboardInterrupt()])
def test_a_load_that_fails_ends_its_processes(started, error):
    with pytest.raises(type(error)), team.opened(ModelSpec(parallel=2)) as opened:
        raise error
    assert opened.others[0].poll() is not None
    with team.opened(ModelSpec(parallel=2)) as again:
        assert again.others[0].poll() is None
    again.close()
    assert len(started) == 2


def test_a_connection_that_does_not_answer_is_an_error_in_one_line(started, monkeypatch):
    with pytest.raises(ModelError, match="a process of --parallel does not answer"), team.opened(ModelSpec(parallel=2)):
        raise RuntimeError("[pair.cc:598] Timed out waiting 1800000ms for recv operation to complete")
    monkeypatch.setattr(FakeLink, "errors", lambda _: ["it does not fit"])
    with pytest.raises(ModelError, match="could not load the model: it does not"), team.opened(ModelSpec(parallel=2)):
        raise RuntimeError("Connection closed by peer")
    monkeypatch.setattr(FakeLink, "errors", lambda _: [])
    with pytest.raises(RuntimeError, match="shapes"), team.opened(ModelSpec(parallel=2)):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_processes_of_torchrun_stay_for_the_next_model_unless_they_are_out_of_step(started):
    spec, link = ModelSpec(parallel=2), FakeLink(2)
    with team.led(link):
        for _ in range(2):
            with team.opened(spec) as opened:
                pass
            opened.close()
        with pytest.raises(ModelError, match=r"started 2 processes for one model, and --parallel is 4; .*--parallel 2"):
            team.opened(ModelSpec(parallel=4)).__enter__()
        with pytest.raises(ModelError, match=r"started 2 processes for one model, and --parallel is 1"):
            load(ModelSpec())
        assert [word for word in link.said if word in ("load", "drop")] == ["load", "drop"] * 2
        with pytest.raises(KeyboardInterrupt), team.opened(spec):
            raise KeyboardInterrupt
        with pytest.raises(ModelError, match="out of step after a failure"):
            team.opened(spec).__enter__()
    assert "end" not in link.said
    assert started == []


def test_processes_that_do_not_connect_are_an_error_after_minutes(monkeypatch):
    monkeypatch.setattr(starting, "CONNECT", timedelta(seconds=0.3))
    processes = []

    def process(*_: object) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, "-c", said.pop()]))
        return processes[-1]

    monkeypatch.setattr(starting, "_process", process)
    said = ["import time; time.sleep(60)"]
    with pytest.raises(ModelError, match="the 2 processes of --parallel did not connect within 5 minutes"):
        starting.start(ModelSpec(parallel=2))
    said, starting.CONNECT = ["raise SystemExit(1)"], timedelta(seconds=20)
    with pytest.raises(ModelError, match="ended before it had connected"):
        starting.start(ModelSpec(parallel=2))
    assert all(process.poll() is not None for process in processes)


def test_runs_of_another_model_and_the_end_of_the_runs_close_a_model(monkeypatch):
    closed: list[str] = []

    class Closing:
        def __init__(self, spec: ModelSpec) -> None:
            self.close = lambda: closed.append(spec.id)

    monkeypatch.setattr("layeratlas.models.load", lambda spec, _: Closing(spec))
    with KeptModel() as models:
        for name in ("one", "one", "other"):
            models.load(ModelSpec(id=name), Progress())
        assert closed == ["one"]
    assert closed == ["one", "other"]


def test_a_run_over_two_processes_has_the_tables_of_one_and_leaves_no_process(tmp_path):
    model, data = small_runs.model_folder(tmp_path, "llama"), small_runs.texts_file(tmp_path)
    options = {"size": "quick", "device": "cpu", "components": ["resid"], "shuffles": 20, "probe": "ridge"}
    alone = la.run("hierarchy", model=model, data=data, out=tmp_path / "one", **options)
    own = ["--component", "resid", "--shuffles", "20", "--probe", "ridge", "--size", "quick", "--device", "cpu"]
    flags = [*own, "--parallel", "2", "--quiet"]
    command = [sys.executable, "-m", "layeratlas", "run", "hierarchy", "--model", model, "--data", data, *flags]
    done = subprocess.run([*command, "--out", tmp_path / "two"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shared = la.load(tmp_path / "two")
    assert_frame_equal(shared.curves, alone.curves, abs_tol=1e-3)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["model"]["processes"] == 2
    deadline = time.monotonic() + 20
    assert model in written(ModelSpec(id=model, parallel=2))  # by which a member's command line is recognised
    while members(model) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not members(model)


def members(model: str) -> list[psutil.Process]:
    """Return the processes that wait for a leader of this model; other tests may have members of theirs."""
    lines = ((p, p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    return [p for p, line in lines if "layeratlas.models.member" in line and model in " ".join(line)]


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("gpt2", {}, "transformers has no tensor-parallel plan for GPT2; .* use --weights streamed"),
        ("llama", {"parallel": 4}, "has 2 of num_key_value_heads, which 4 processes cannot share evenly"),
        ("llama", {"weights": "streamed"}, "streamed weights with --parallel 2; expected plain weights in memory"),
        ("llama", {"adapter": "x"}, "an adapter with --parallel 2"),
        ("llama", {"weights": "remote"}, "remote weights with --parallel 2; expected plain weights in memory"),
    ],
)
def test_what_cannot_be_spread_is_refused_before_a_process_is_started(
    folder_of, monkeypatch, family, settings, message
):
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(ModelError, match=message):
        load(ModelSpec(id=str(folder_of(family)), **{"parallel": 2, **settings}))


def test_a_message_keeps_masks_by_layer_type(monkeypatch):
    """What is announced is what is received, bit for bit, masks that a layer type lacks included."""
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(links.dist, "broadcast", lambda tensor, source, group: sent.append(tensor.clone()))
    link = object.__new__(links.Link)
    link.count, link._calls, link.broken = 2, None, False
    leader = team.Team(link)
    ids, mask = torch.arange(6).view(2, 3), torch.rand(2, 1, 3, 3) > 0.5
    leader.announce_pass(ids, {"full_attention": mask, "linear_attention": None}, ids + 1, logits=True)
    monkeypatch.setattr(links.dist, "broadcast", lambda tensor, source, group: tensor.copy_(sent.pop(0)))
    tensors, words = link.receive()
    assert torch.equal(tensors["ids"], ids)
    assert torch.equal(tensors["positions"], ids + 1)
    assert torch.equal(tensors["mask full_attention"], mask)
    assert tensors["mask linear_attention"].numel() == 0
    assert json.loads(words["kinds"]) == ["full_attention", "linear_attention"]
    assert json.loads(words["logits"]) is True
    leader.close()


def test_one_process_of_torchrun_is_a_plain_run(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(sys, "argv", ["layeratlas", "--version"])
    monkeypatch.setattr(starting, "join_torchrun", None)
    with pytest.raises(SystemExit) as ended:
        command_line()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("layeratlas ")


@pytest.mark.truth
def test_processes_of_torchrun_give_the_tables_of_one(folder_of, tmp_path):
    texts, folder = small_runs.texts_file(tmp_path), folder_of("llama")
    options = ["--model", folder, "--data", texts, "--size", "quick", "--probe", "ridge", "--device", "cpu"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    single = [*torchrun[:-1], "1"]  # a plain run
    two = ["--parallel", "2"]
    for name, launcher, parallel in [("one", single, []), ("two", torchrun, two), ("two", torchrun, [])]:
        command = [sys.executable, *launcher, "-m", "layeratlas", "run", "hierarchy", *options, *parallel]
        done = subprocess.run(
            [*map(str, command), "--out", str(tmp_path / name)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        # The third command finds the run complete, and ends the other process although it loads no model.
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (la.Run(tmp_path / name).curves for name in ("one", "two"))
    assert_frame_equal(one, two, abs_tol=1e-6)
    missing = [sys.executable, *torchrun, "-m", "layeratlas", "run", "hierarchy", *options, "--out", tmp_path / "none"]
    done = subprocess.run([*map(str, missing)], capture_output=True, text=True, timeout=600, check=False)
    assert "torchrun started 2 processes for one model, and --parallel is 1; expected --parallel 2" in done.stderr
