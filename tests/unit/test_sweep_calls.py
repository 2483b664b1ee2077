"""Calls of `la.sweep` that meet in one folder, begin with nothing to do, or are refused."""

from __future__ import annotations

import json
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import transformers
from polars.testing import assert_frame_equal

import layeratlas as la
from layeratlas.capture import plan_choices
from layeratlas.core import registry
from layeratlas.core.checksums import write_sealed
from layeratlas.core.errors import AtlasError, ModelError, SpecError, StoreError
from layeratlas.core.files import read_object
from layeratlas.core.spec import CaptureSpec, ModelSpec, RunSpec
from layeratlas.models import devices, load
from layeratlas.models.devices import settled
from layeratlas.runs.identity import versions
from layeratlas.runs.pipeline import prepare, settled_spec
from layeratlas.runs.place import FolderPlace
from layeratlas.studies.exits.posing import pose
from layeratlas.sweeps import finishing, running, worker
from layeratlas.sweeps.costs import DryRun, dry_run
from layeratlas.sweeps.engines.contract import Engine, Launch
from layeratlas.sweeps.plan import demand_begun, write_plan
from layeratlas.sweeps.resources import Resources
from layeratlas.sweeps.running import Sweep
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.state import Standing, UnitState, reopen, run_folder, state_of, states_of
from layeratlas.sweeps.units import units_of
from small_runs import texts_file


@dataclass
class Thread:
    """A worker in this process."""

    thread: threading.Thread

    def is_running(self) -> bool:
        return self.thread.is_alive()

    def stop(self) -> None:
        """It ends by itself."""

    def wait(self) -> None:
        self.thread.join()


class Threads(Engine):
    """An engine whose workers are threads."""

    def start(self, launch: Launch, slot: int) -> Thread:
        thread = threading.Thread(target=worker.work, args=(launch.address, launch.plan))
        thread.start()
        return Thread(thread)


class Read:
    """A finished run, as far as the end of a sweep looks at it."""

    def in_family(self, _: object) -> Read:
        return self


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """Let a run be its manifest, and the end of a sweep a count of runs; returns the models that were run, in order."""
    ran: list[str] = []

    def execute(study, spec, out, progress=None, models=None, turns=None):
        ready = prepare(study, spec)
        manifest = {"status": "complete", "versions": versions(), "spec": ready.spec.model_dump(mode="json")}
        if not (out / "run.json").exists():
            ran.append(spec.model.id)
            out.mkdir(parents=True, exist_ok=True)
            write_sealed(out / "run.json", {**manifest, "key": ready.key})
        elif read_object(out / "run.json")["key"] != ready.key:
            raise AtlasError("it holds another run")

    def judge(runs: list[Read]) -> pl.DataFrame:
        return pl.DataFrame({"runs": [len(runs)]})

    monkeypatch.setattr(worker, "execute", execute)
    monkeypatch.setattr(finishing, "read_run", lambda _: Read())
    monkeypatch.setattr(finishing, "judge_claims", judge)
    monkeypatch.setattr(running, "_LOOK", 0.01)
    return ran


@pytest.fixture
def plan(tmp_path) -> SweepSpec:
    """Two runs of the user's own texts; no page of the two."""
    return SweepSpec(models=("one",), seeds=(0, 1), size="quick", options={"data": texts_file(tmp_path)})


def call(plan: SweepSpec | dict[str, Any], out: Path) -> Sweep:
    return la.sweep(plan, out=out, engine=Threads(), resources=Resources(threads=1))


def standings(sweep: Sweep) -> set[Standing]:
    return {state.standing for state in sweep.states.values()}


def test_a_unit_that_is_opened_again_while_a_call_ends_is_waited_for(plan, tmp_path, computed, monkeypatch):
    """Another call of the sweep, as with `--retry`, opens units just before this one compares them."""
    place, times = FolderPlace(tmp_path / "out"), []
    ends = running.finish

    def finish(*given):
        times.append(1)
        if len(times) == 1:
            for unit in units_of(plan):
                reopen(place, unit, Standing.DONE)
        return ends(*given)

    monkeypatch.setattr(running, "finish", finish)
    sweep = call(plan, place.folder)
    assert len(times) == 2
    assert standings(sweep) == {Standing.DONE}
    assert pl.read_parquet(place.folder / "claims.parquet")["runs"].to_list() == [2]
    assert len(computed) == 2


def test_a_sweep_without_a_folder_is_refused(plan, tmp_path, monkeypatch):
    """`--out "$UNSET"` would fill the present folder."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SpecError, match=r"the folder has no name; expected a path, or '\.' for the present folder"):
        call(plan, "")
    assert sorted(tmp_path.iterdir()) == before


def test_the_status_of_what_is_no_sweep_is_refused(plan, tmp_path, computed):
    """Every run of a mistyped folder would be shown as one that waits."""
    (tmp_path / "runs").mkdir()
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(StoreError, match=f"'{folder}' has no sweep; expected the --out of a sweep"):
            demand_begun(FolderPlace(folder))
    call(plan, tmp_path / "out")
    demand_begun(FolderPlace(tmp_path / "out"))


def test_a_call_leaves_finished_runs_of_unchanged_files_done(plan, tmp_path, computed, monkeypatch):
    """So that a call that is about to compare them finds them."""
    out = tmp_path / "out"
    call(plan, out)
    seen = []
    monkeypatch.setattr(running, "finish", lambda place, units, options: seen.append(states_of(place, units)) or {})
    monkeypatch.setattr(worker, "execute", lambda *_, **__: pytest.fail("it is done"))
    sweep = call(plan, out)
    assert standings(sweep) == {Standing.DONE}
    assert {state.attempts for state in seen[0].values()} == {1}


@pytest.mark.parametrize("change", ["another text", "no file"])
def test_a_call_opens_finished_runs_of_changed_files(plan, tmp_path, computed, change):
    call(plan, tmp_path / "out")
    path = Path(plan.options["data"])
    path.unlink() if change == "no file" else path.write_text(path.read_text().replace("A cow", "A hen"))
    sweep = call(plan, tmp_path / "out")
    assert standings(sweep) == {Standing.FAILED}
    assert all(why for why in sweep.failed.values())


@pytest.mark.parametrize("on", ["ray", "kube"])
def test_a_call_whose_engine_is_refused_leaves_nothing(plan, tmp_path, monkeypatch, on):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError):
        la.sweep(plan, out=tmp_path / "out", resources=Resources(on=on))
    assert not (tmp_path / "out").exists()


class Refusing(Threads):
    """An engine that refuses its workers from the second or from the first on, after it has written a log."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, launch: Launch, slot: int) -> Thread:
        (launch.out / "workers" / "job").mkdir(parents=True, exist_ok=True)
        if not self.left:
            raise SpecError("the queue is closed", "an open one")
        self.left -= 1
        worker = super().start(launch, slot)
        worker.wait()
        return worker


@pytest.mark.parametrize("before", ["nothing", "a folder", "an earlier plan"])
def test_a_call_whose_first_worker_is_refused_leaves_what_was_there(plan, tmp_path, before):
    out = tmp_path / "out"
    if before != "nothing":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    if before == "an earlier plan":
        write_plan(FolderPlace(out), plan)
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(SpecError, match="the queue is closed"):
        la.sweep(plan, out=out, engine=Refusing(0), resources=Resources(threads=1))
    assert sorted(tmp_path.rglob("*")) == files


def test_a_call_whose_later_worker_is_refused_keeps_what_was_computed(plan, tmp_path, computed, monkeypatch):
    """Its plan too, which the other workers read."""
    monkeypatch.setattr(worker, "execute", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with pytest.raises(SpecError, match="the queue is closed"):
        la.sweep(plan, out=tmp_path / "out", engine=Refusing(1), resources=Resources(threads=1))
    assert list((tmp_path / "out" / "plans").iterdir())
    assert list((tmp_path / "out" / "units").iterdir())


@pytest.fixture(params=["float32", "auto"])
def dtype(request, monkeypatch) -> str:
    """What the file asks for, on a device where `auto` is bfloat16."""
    monkeypatch.setattr(devices, "_half_pays", lambda device: True)
    return request.param


def test_a_worker_stays_with_its_model_whatever_settles_its_numbers(tmp_path, dtype):
    units = units_of(SweepSpec(models=("a", "b"), seeds=(0, 1), size="quick", options={"dtype": dtype}))
    states = {unit.name: UnitState(standing=Standing.WAITING) for unit in units}
    for model in ("a", "b"):
        loaded = settled(next(unit.spec.model for unit in units if unit.spec.model.id == model))
        assert [unit.spec.model.id for unit in worker._in_order(units, states, loaded)][:2] == [model, model]


def test_a_copied_run_is_done_whatever_settles_its_numbers(tmp_path, dtype):
    place = FolderPlace(tmp_path)
    unit, other = units_of(SweepSpec(models=("a",), seeds=(0, 1), size="quick", options={"dtype": dtype}))
    study = registry.get("studies", "hierarchy")
    spec = settled_spec(study.prepare(unit.spec, study.settings()))
    assert spec.model.dtype == ("bfloat16" if dtype == "auto" else "float32")
    manifest = {"status": "complete", "versions": versions(), "spec": spec.model_dump(mode="json"), "key": "any"}
    for each in (unit, other):
        write_sealed(run_folder(place, each) / "run.json", manifest)
    assert state_of(place, unit).standing is Standing.DONE
    assert state_of(place, other).standing is Standing.WAITING


@pytest.fixture
def models(folder_of) -> tuple[str, str]:
    """A tiny model whose context of 64 tokens is too short for some texts, and none."""
    return str(folder_of("llama")), str(folder_of("llama").with_name("none"))


def costs(out: Path, **plan) -> tuple[dict[str, list[str]], DryRun]:
    """Return the words of each run's line in a dry run, by its name, and the dry run."""
    known = dry_run(Sweep(FolderPlace(out), units_of(SweepSpec(size="quick", **plan))))
    return {line.split("  ")[-1].split(" ")[0]: line.split() for line in known.lines[1:-2]}, known


def test_a_dry_run_refuses_the_runs_that_a_sweep_would_and_goes_on(models, tmp_path):
    there, none = models
    lines, known = costs(tmp_path / "out", models=(none, there), tasks=("items", "completions"), studies=STUDIES)
    assert [words[0] for words in lines.values()] == ["refused", "refused", "waiting", "waiting"]
    assert all("does not exist" in why for why in known.refused.values())
    assert not (tmp_path / "out").exists()


STUDIES = ("hierarchy", "causal")


def test_a_dry_run_refuses_a_revision_of_what_is_on_this_machine(models, tmp_path):
    """Two revisions of a folder would be one model twice."""
    _, known = costs(tmp_path, models=models[:1], tasks=("items",), revisions=("step1", "step2"))
    assert len(known.refused) == 2
    with pytest.raises(ModelError, match=r"the revision 'step1' of .* on this machine; expected a revision of a hub"):
        load(ModelSpec(id=models[0], revision="step1"))


def test_a_dry_run_says_what_does_not_fit_the_context(models, tmp_path):
    """A run of what nothing fits is refused, as is a file of the user; a set among others is left out."""
    long = tmp_path / "long.csv"
    rows = [f"{'a long text ' * (9 if place == 3 else 1)}{place},{place % 2},{place}" for place in range(12)]
    long.write_text("\n".join(["text,label,group", *rows]))
    _, known = costs(tmp_path, models=models[:1], tasks=("documents",))
    assert "nothing fits the model" in next(iter(known.refused.values()))
    lines, _ = costs(tmp_path, models=models[:1], tasks=(("items", "documents"),))
    alone, _ = costs(tmp_path, models=models[:1], tasks=("items",))
    ((_, tokens, *_, last),), ((_, only, *_),) = lines.values(), alone.values()
    assert last.endswith(")")
    assert tokens == only
    _, known = costs(tmp_path, models=models[:1], options={"data": str(long)})
    (why,) = known.refused.values()
    assert why.startswith(f"'{long}', text 4 has 1")
    options = {"data": str(long), "bad_rows": "drop"}
    lines, _ = costs(tmp_path, models=models[:1], options=options)
    assert [words[0] for words in lines.values()] == ["waiting"]


LONG = [f"In year {n} {'the river runs past the old mill. ' * 12}" for n in range(8)]
LABELLED = [
    f"Film {n // 2} was dull{' and long' * 40 * (n == 4)}. Its plot is,{('good', 'bad')[n % 2]}" for n in range(40)
]


@pytest.mark.parametrize(
    ("study", "settings", "text"),
    [
        ("segments", {}, "\n\n".join(LONG)),  # no room for 64 tokens beside BOS
        ("segments", {"tokens": 200}, "\n\n".join(LONG)),
        ("segments", {"tokens": 48}, "\n\n".join([*LONG, "Too short."])),
        ("causal", {}, "\n".join(["text,label", *LABELLED])),
        ("exits", {}, json.dumps({"question": "why " * 90, "choices": ["a", "b"], "answer": 0})),
    ],
    ids=["no room", "more than there is room for", "a short passage", "a long prompt", "a long question"],
)
def test_a_dry_run_refuses_what_a_run_of_each_study_refuses(models, tmp_path, study, settings, text):
    """With the same reason: the number of tokens that the run names is in the line of the dry run."""
    path = tmp_path / f"own{SUFFIX[study]}"
    path.write_text(text)
    plan = {"studies": (study,), "options": {"data": str(path)}, "settings": {study: settings}}
    model = deeper(models[0], tmp_path / "model")
    _, known = costs(tmp_path, models=(model,), **plan)
    (why,) = known.refused.values()
    with pytest.raises(AtlasError) as refused:
        la.run(study=study, model=model, out=tmp_path / "run", size="quick", data=str(path), settings=settings)
    tokens = re.search(r"\d+ tokens", str(refused.value))
    assert tokens
    assert tokens[0] in why


def deeper(model: str, folder: Path) -> str:
    """Write a model with the tokenizer and the config of another, and six blocks, and return its folder."""
    config = transformers.AutoConfig.from_pretrained(model, num_hidden_layers=6)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("study", "settings", "options", "found"),
    [
        ("segments", {}, {}, "the model has 3 blocks; expected at least 6"),
        ("exits", {"exits": "0,9"}, {}, "exit 9 is asked for"),
        ("causal", {}, {"weights": "streamed"}, "is streamed, and the causal study edits its stream"),
    ],
)
def test_a_dry_run_refuses_a_model_that_a_study_cannot_take(models, tmp_path, study, settings, options, found):
    plan = {"studies": (study,), "settings": {study: settings}, "options": options}
    _, known = costs(tmp_path, models=models[:1], **plan)
    assert found in next(iter(known.refused.values()))
    with pytest.raises(AtlasError, match=found):
        la.run(study=study, model=models[0], out=tmp_path / "run", size="quick", settings=settings, **options)


SUFFIX = {"segments": ".txt", "causal": ".csv", "exits": ".jsonl"}


@pytest.mark.parametrize(("study", "tokens"), [("segments", 48), ("causal", 0)])
def test_a_dry_run_lets_pass_what_fits(models, tmp_path, study, tokens):
    settings = {"segments": {"tokens": tokens}} if tokens else {}
    _, known = costs(tmp_path, models=(deeper(models[0], tmp_path),), studies=(study,), settings=settings)
    assert known.refused == {}


def test_what_runs_take_from_others_counts_once_in_a_dry_run(models, tmp_path):
    """Runs of two seeds capture once, and so do runs that share a task; not with another position."""
    tasks = ("items", ("items", "analogies"))
    lines, _ = costs(tmp_path, models=models[:1], tasks=tasks, seeds=(0, 1))
    tokens = [int(words[1].replace(",", "")) for words in lines.values()]
    apart, _ = costs(tmp_path, models=models[:1], tasks=("items", "analogies"))
    assert tokens == [int(words[1].replace(",", "")) * seed for words in apart.values() for seed in (1, 0)]
    lines, _ = costs(tmp_path, models=models[:1], tasks=("items",), variants=({"name": "a"}, MEAN))
    assert len({words[1] for words in lines.values()}) == 1


MEAN = {"name": "mean", "options": {"position": "mean"}}


def test_the_tokens_of_a_dry_run_are_those_that_a_capture_computes(models, tmp_path, loaded_of):
    """Shared beginnings once: choices after a question of many words, of which a run need not read the last token."""
    rows = [
        {"question": f"What is {n} and {'so on and ' * 3}?", "choices": ["a", "b", "c"], "answer": 0} for n in "xyz"
    ]
    path = tmp_path / "asked.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    options = {"data": str(path)}
    lines, _ = costs(tmp_path, models=models[:1], studies=("exits",), options=options, settings={"exits": {"shots": 0}})
    (words,) = lines.values()
    model, study = loaded_of("llama"), registry.get("studies", "exits")
    settings = study.settings(shots=0)
    posed = pose(model, study.read(str(path), RunSpec(study="exits")), settings)
    continuations = [*posed.after, *posed.bare]
    computed = plan_choices(model, continuations, CaptureSpec())[1].record()["tokens_computed"]
    texts = study.texts_of([posed.data], settings)
    assert int(words[1].replace(",", "")) == computed + len(texts)
    assert computed + len(texts) < sum(len(each.ids) for each in continuations) / 2


def test_runs_whose_lists_of_texts_overlap_capture_a_set_once(models, tmp_path):
    """The second run reads a set more: it links the shards of the first, and has the tables of a run of its own."""
    texts = texts_file(tmp_path)
    more = Path(texts).with_name("more.csv")
    more.write_text(Path(texts).read_text().replace("A ", "The "))
    fields = {"models": [models[0]], "size": "quick", "options": {"probe": "ridge", "shuffles": 20, "repeats": 1}}
    variants = [{"name": "one", "options": {"data": texts}}, {"name": "two", "options": {"data": [str(more), texts]}}]
    shared = call({**fields, "variants": variants}, tmp_path / "shared")
    alone = call({**fields, "variants": variants[1:]}, tmp_path / "alone")
    assert shared.failed == alone.failed == {}
    first, second = shared.runs.values()
    (own,) = alone.runs.values()
    assert shards(first.folder) < shards(second.folder)
    assert not shards(own.folder) & shards(second.folder)
    for table in own.folder.glob("*.parquet"):
        assert_frame_equal(pl.read_parquet(table), pl.read_parquet(second.folder / table.name), check_exact=True)


def shards(run: Path) -> set[int]:
    """Return the inodes of a run's shards."""
    return {path.stat().st_ino for path in run.glob("activations/*.safetensors")}
