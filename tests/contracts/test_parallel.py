"""A model whose weights two processes share gives the numbers of one process, and what cannot be shared is refused.

Each test that starts processes runs in one of its own, since a process belongs to one team for its life.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from polars.testing import assert_frame_equal

import families
import layeratlas as la
import measuring
import small_runs
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.models.spreading import check_spread
from layeratlas.models.team import written

TESTS = Path(__file__).parents[1]
# Grouped heads, sliding windows, experts, fused projections, linear attention, multipliers.
SOME = ("llama", "gemma3", "mixtral", "phi3", "qwen3_next", "granite")
MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
import json
import measuring
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load

for folder in sys.argv[2:]:
    shared, alone = (load(ModelSpec(id=folder, device="cpu", parallel=count)) for count in (2, 1))
    read = {name: measuring.EVERYTHING[name] for name in measuring.READ}
    apart = {name: measuring.apart(function(shared), function(alone)) for name, function in read.items()}
    shares = sum(type(weight).__name__ == "DTensor" for weight in shared.model.parameters())
    print(json.dumps({"folder": folder, "shares": shares, **apart}), flush=True)
"""
MEASURE_ONE = """
import sys
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load

try:
    load(ModelSpec(id=sys.argv[2], device="cpu", parallel=2))
except ModelError as error:
    print(error)
"""
KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
import measuring
from layeratlas.core.errors import AtlasError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import intervene, load

model = load(ModelSpec(id=sys.argv[2], device="cpu", parallel=2))
try:
    with intervene(model, []):
        pass
except AtlasError as error:
    print(error)
model.team._others[0].kill()
model.team._others[0].wait()
try:
    measuring.packed(model)
except AtlasError as error:
    print(error)
"""


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, str(TESTS), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def largest_difference(folders: Sequence[Path]) -> float:
    """Return the largest difference of two processes from one, over models whose weights are shared indeed."""
    lines = [json.loads(line) for line in run(MEASURE, *folders).splitlines()]
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
        if family != "nemotron_h"  # its plan names no weight
    ]
    difference = largest_difference([folder_of(family) for family in planned])
    print(f"{len(planned)} families in two processes: largest difference {difference:.1e}")
    assert len(planned) > 20
    assert difference < 1e-5


@pytest.mark.truth
def test_a_plan_that_shares_no_weight_is_refused(folder_of):
    """Else each process would hold the whole model, and nothing would be gained."""
    said = run("from layeratlas.core.errors import ModelError\n" + MEASURE_ONE, folder_of("nemotron_h"))
    assert "tensor-parallel plan for" in said
    assert "shares none of its weights; expected a plan that shares some; use --weights streamed" in said


def is_shared(folder: Path) -> bool:
    """Tell whether two processes can share the heads of a model."""
    try:
        check_spread(ModelSpec(id=str(folder), parallel=2))
    except ModelError:
        return False
    return True


def test_a_process_that_ends_is_named_and_interventions_are_refused(folder_of):
    refused, ended = run(KILLED, folder_of("llama")).splitlines()
    assert "are spread over 2 processes; expected a model in one process for interventions" in refused
    assert ended == "a process of --parallel has ended; expected all of them running; run the same command again"


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
    import torch

    from layeratlas.models import team

    sent: list[torch.Tensor] = []
    monkeypatch.setattr(team.dist, "broadcast", lambda tensor, source: sent.append(tensor.clone()))
    leader = object.__new__(team.Team)
    leader._others = []
    ids, mask = torch.arange(6).view(2, 3), torch.rand(2, 1, 3, 3) > 0.5
    leader.announce_pass(ids, {"full_attention": mask, "linear_attention": None}, ids + 1, logits=True)
    monkeypatch.setattr(team.dist, "broadcast", lambda tensor, source: tensor.copy_(sent.pop(0)))
    tensors, words = leader.receive()
    assert torch.equal(tensors["ids"], ids)
    assert torch.equal(tensors["positions"], ids + 1)
    assert torch.equal(tensors["mask full_attention"], mask)
    assert tensors["mask linear_attention"].numel() == 0
    assert json.loads(words["kinds"]) == ["full_attention", "linear_attention"]
    assert json.loads(words["logits"]) is True


@pytest.mark.truth
def test_processes_of_torchrun_give_the_tables_of_one(folder_of, tmp_path):
    texts, folder = small_runs.texts_file(tmp_path), folder_of("llama")
    options = ["--model", folder, "--data", texts, "--size", "quick", "--probe", "ridge", "--device", "cpu"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher, parallel in [("one", [], []), ("two", torchrun, ["--parallel", "2"]), ("two", torchrun, [])]:
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
    assert "torchrun started 2 processes for one model; expected --parallel 2" in done.stderr
