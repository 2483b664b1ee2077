"""`--precision fast`: products are rounded only where that is faster and changes no accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

import families
import layeratlas as la
import small_runs
from layeratlas.capture import Reading, choose_plan, store_key
from layeratlas.capture.reading import read_batch
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import COMPONENTS, CaptureSpec
from layeratlas.models import LoadedModel, products
from layeratlas.models.products import EXACT, ROUNDED, multiplying
from layeratlas.runs import precision
from layeratlas.runs.beginning import PRECISION_FILE
from layeratlas.runs.precision import FIELD, Trial
from layeratlas.store import DiskStore
from layeratlas.studies.hierarchy import rounding

PROBE = {"methods": ("ridge",), "repeats": 1, "shuffles": 20, "bootstrap": 100}


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which rounded products are twice as fast, and a bound that thirty words of a tiny model can show."""
    monkeypatch.setattr(products, "gain", lambda *_: 2.0)
    monkeypatch.setattr(precision, "BOUND", 0.02)


class Notes(Progress):
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def cancelling_model(folder: Path, apart: float = 4e-3) -> str:
    """Save a model whose MLPs add what two large hidden units differ by: less than bfloat16 can tell."""
    where = families.save(folder / "cancelling", families.FAMILIES["llama"]())
    weights = load_file(where / "model.safetensors")
    draw = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        if "mlp" in name and "down" not in name:
            weight[1::2] = weight[::2]
            if "up" in name:
                weight[1::2] += apart * weight[::2].std() * torch.randn(weight[::2].shape, generator=draw)
        elif "mlp" in name:
            weight.div_(apart)
            weight[:, 1::2] = -weight[:, ::2]
    save_file(weights, where / "model.safetensors", metadata={"format": "pt"})
    return str(where)


def probe_words(model: str, folder: Path, name: str = "out", **options: Any) -> la.Run:
    rows = [
        f"{word} {noun} number {i},{word},{i}"
        for i, noun in enumerate(small_runs.NOUNS * 6)
        for word in ("hot", "cold")
    ]
    (folder / "own.csv").write_text("\n".join(["text,label,group", *rows]))
    return la.run(model=model, size="quick", data=[folder / "own.csv"], out=folder / name, probe=PROBE, **options)


def ask(model: str, folder: Path, name: str = "out", **options: Any) -> la.Run:
    def row(place: int) -> dict[str, Any]:
        noun = small_runs.NOUNS[place % 12]
        choices = [noun, small_runs.NOUNS[place % 12 - 1], small_runs.NOUNS[place % 12 - 2]]
        return {"question": f"What is sold in shop {place}?", "choices": choices, "answer": place % 3}

    path = folder / "asked.jsonl"
    path.write_text("\n".join(json.dumps(row(place)) for place in range(108)))
    settings = {"shots": 0}
    return la.run("exits", model=model, size="quick", data=[path], out=folder / name, settings=settings, **options)


def decided(run: la.Run) -> dict[str, Any]:
    return dict(small_runs.manifest(run.folder)[FIELD])


def vectors(run: la.Run, component: str = "mlp") -> np.ndarray:
    store = DiskStore.open(run.folder / "activations")
    return np.stack([store.read(component, layer) for layer in range(store.shape.points[component])])


def test_linear_layers_are_rounded_and_nothing_else() -> None:
    draw = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(*shape, generator=draw) for shape in ((5, 64), (9, 64), (9,)))
    by_hand = (x.bfloat16() @ w.bfloat16().T).float()
    with multiplying(ROUNDED):
        assert torch.equal(functional.linear(x, w), by_hand)
        assert torch.equal(functional.linear(x, w, b), by_hand + b)
        assert torch.equal(functional.linear(x, weight=w, bias=b), by_hand + b)
        assert torch.equal(torch.addmm(b, x, w.T), by_hand + b)
        assert torch.equal(functional.linear(x.double(), w.double()), x.double() @ w.double().T)
        inside = x @ w.T
        elsewhere: list[torch.Tensor] = []
        other = Thread(target=lambda: elsewhere.append(functional.linear(x, w)))
        other.start()
        other.join()
    assert torch.equal(inside, x @ w.T)
    with multiplying(EXACT):
        exact = functional.linear(x, w)
    assert torch.equal(exact, functional.linear(x, w))
    assert torch.equal(exact, elsewhere[0])
    assert 1e-3 < float((by_hand - exact).norm() / exact.norm()) < 1e-2


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_model_is_exact_by_default_and_its_proofs_always(family: str, loaded_of: Callable[..., LoadedModel]) -> None:
    model = loaded_of(family)
    ids = model.encode("A shop in the old town sells a piano")
    (batch,) = choose_plan(model, [Reading(tuple(ids), (len(ids) - 1,))], CaptureSpec()).batches
    plain, again, rounded = (
        read_batch(each, batch, COMPONENTS)
        for each in (model, model.with_products(EXACT), model.with_products(ROUNDED))
    )
    for component in COMPONENTS:
        assert np.array_equal(plain[component], again[component])
        off = np.linalg.norm(rounded[component] - plain[component], axis=-1) / np.linalg.norm(plain[component], axis=-1)
        assert off.max() < 0.05
        assert off[0, -1] > 1e-4
        # A stream that is kept in float32 has values between those of bfloat16.
        assert not np.array_equal(torch.from_numpy(rounded["resid"]).bfloat16().float().numpy(), rounded["resid"])
    readings = [Reading(tuple(ids[:n]), (n - 1,)) for n in range(2, len(ids) + 1)] * 2
    assert (
        choose_plan(model.with_products(ROUNDED), readings, CaptureSpec()).why
        == choose_plan(model, readings, CaptureSpec()).why
    )


def test_keys_tell_rounded_from_exact_products_and_not_what_was_asked(loaded_of: Callable[..., LoadedModel]) -> None:
    model, readings = loaded_of("llama"), [Reading((1, 2, 3), (2,))]
    exact, fast = CaptureSpec(), CaptureSpec(precision="fast")
    assert store_key(model, readings, exact) == store_key(model, readings, fast)
    assert store_key(model, readings, fast) != store_key(model.with_products(ROUNDED), readings, fast)


@pytest.mark.usefixtures("gains")
def test_a_fast_run_of_texts_says_what_rounding_changed(tiny_model_dir: Path, tmp_path: Path) -> None:
    notes = Notes()
    fast = probe_words(str(tiny_model_dir), tmp_path, "fast", precision="fast", progress=notes)
    exact = probe_words(str(tiny_model_dir), tmp_path, "exact")
    record = decided(fast)
    assert record["rounded"]
    assert record["items"] >= precision.ENOUGH
    assert abs(record["effect"]) <= record["at_most"] <= precision.BOUND
    said = f"on {record['texts']} of this run's 144 texts the largest difference is {record['difference']:.1e}"
    assert any(said in note for note in notes.notes)
    assert said.partition("this run's")[2] in (fast.folder / "report.html").read_text()
    assert FIELD not in small_runs.manifest(exact.folder)
    assert "Precision" not in (exact.folder / "report.html").read_text()
    off = np.linalg.norm(vectors(fast) - vectors(exact), axis=-1) / np.linalg.norm(vectors(exact), axis=-1)
    assert 1e-4 < off.max() < 2 * record["difference"]
    assert small_runs.manifest(fast.folder)["recomputed"]["passed"]
    curves = [pl.read_parquet(run.folder / "curves.parquet")["estimate"].to_numpy() for run in (fast, exact)]
    assert abs(curves[0] - curves[1]).max() < 0.02


@pytest.mark.usefixtures("gains")
@pytest.mark.parametrize("study", [probe_words, ask])
def test_a_model_whose_values_do_not_bear_rounding_is_computed_exactly(
    study: Callable[..., la.Run], tmp_path: Path
) -> None:
    model, notes = cancelling_model(tmp_path), Notes()
    fast = study(model, tmp_path, "fast", precision="fast", progress=notes)
    record = decided(fast)
    assert not record["rounded"]
    assert record["at_most"] > precision.BOUND
    assert "change by" in record["why"]
    assert any(
        "products are exact, although --precision fast was asked for: accuracies" in note for note in notes.notes
    )
    assert "Products are exact, although" in (fast.folder / "report.html").read_text()
    exact = study(model, tmp_path, "exact")
    tables = [pl.read_parquet(run.folder / "curves.parquet") for run in (fast, exact)]
    assert tables[0].equals(tables[1], null_equal=True)


@pytest.mark.usefixtures("gains")
def test_the_cancelling_model_rounded_all_the_same_would_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sample prevents: a property that decodes from MLP outputs is lost."""
    model = cancelling_model(tmp_path)
    exact = probe_words(model, tmp_path, "exact", components=["mlp"])
    monkeypatch.setattr(precision, "BOUND", 2.0)
    rounded = probe_words(model, tmp_path, "rounded", components=["mlp"], precision="fast")
    assert decided(rounded)["rounded"]
    best = [pl.read_parquet(run.folder / "curves.parquet")["estimate"].max() for run in (exact, rounded)]
    assert best[0] > best[1] + 0.05  # type: ignore[operator]


def test_a_machine_that_does_not_gain_stays_exact_and_says_so(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "gain", lambda *_: 1.1)
    monkeypatch.setattr(rounding, "try_both", lambda *_: pytest.fail("nothing is tried"))
    notes = Notes()
    fast = probe_words(str(tiny_model_dir), tmp_path, "fast", precision="fast", progress=notes)
    assert decided(fast)["why"] == "rounded products are 1.1 times as fast here"
    assert any("products are exact" in note and "1.1 times" in note for note in notes.notes)
    assert np.array_equal(vectors(fast), vectors(probe_words(str(tiny_model_dir), tmp_path, "exact")))


@pytest.mark.usefixtures("gains")
def test_few_texts_and_half_precision_stay_exact(tiny_model_dir: Path, tmp_path: Path) -> None:
    few = la.run(
        model=str(tiny_model_dir),
        size="quick",
        data=[small_runs.texts_file(tmp_path)],
        out=tmp_path / "few",
        probe=PROBE,
        precision="fast",
    )
    assert "13 items are too few" in decided(few)["why"]
    half = ask(str(tiny_model_dir), tmp_path, "half", precision="fast", dtype="bfloat16")
    assert decided(half)["why"] == "the weights are in bfloat16"


@pytest.mark.usefixtures("gains")
def test_a_resumed_run_keeps_its_decision_and_is_no_exact_run(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(DiskStore, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            probe_words(str(tiny_model_dir), tmp_path, precision="fast")
    before = json.loads((tmp_path / "out" / "run.json").read_text())[FIELD]
    assert before["rounded"]
    monkeypatch.setattr(products, "gain", lambda *_: 0.0)
    monkeypatch.setattr(rounding, "try_both", lambda *_: pytest.fail("tried again"))
    assert decided(probe_words(str(tiny_model_dir), tmp_path, precision="fast")) == before
    with pytest.raises(StoreError, match=r"capture\.precision 'fast' -> 'exact'"):
        probe_words(str(tiny_model_dir), tmp_path)


@pytest.mark.usefixtures("gains")
@pytest.mark.parametrize(("study", "store"), [(probe_words, "activations"), (ask, "exits")])
def test_vectors_keep_their_decision_if_the_run_loses_it(
    study: Callable[..., la.Run], store: str, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run.json` is cut off, and the machine gains nothing meanwhile: what is stored is used, and nothing is tried."""
    model = str(tiny_model_dir)
    run = study(model, tmp_path, precision="fast")
    before, shards = decided(run), sorted((run.folder / store).glob("*.safetensors"))
    assert before["rounded"]
    written = {path: path.stat().st_mtime_ns for path in shards}
    report = (run.folder / "run.json").read_text()
    (run.folder / "run.json").write_text(report[: len(report) // 2])
    with monkeypatch.context() as patched:
        patched.setattr(products, "gain", lambda *_: 0.0)
        patched.setattr(rounding, "try_both", lambda *_: pytest.fail("tried again"))
        again = study(model, tmp_path, precision="fast")
    assert decided(again) == before
    assert {path: path.stat().st_mtime_ns for path in shards} == written
    # Without the decision beside them, or with another run's, they belong to products that nobody chose.
    for damaged in ("", json.dumps({"run": "other", FIELD: before})):
        (run.folder / "run.json").write_text(report[: len(report) // 2])
        (run.folder / store / PRECISION_FILE).write_text(damaged)
        with monkeypatch.context() as patched:
            patched.setattr(products, "gain", lambda *_: 0.0)
            with pytest.raises(StoreError, match=r"holds activations of another model.*remove that folder"):
                study(model, tmp_path, precision="fast")


def test_a_study_that_does_not_try_both_refuses_it() -> None:
    with pytest.raises(SpecError, match="the study 'segments' does not use the option 'precision'"):
        la.run("segments", precision="fast")


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        (np.zeros((9, 40)), True),
        (np.where(np.arange(40) == 3, -1.0, 0.0) * (np.arange(90) == 2)[:, None], True),
        (np.full((9, 40), -0.01), False),  # a small change everywhere
        (np.where(np.arange(40) % 2, 1.0, -1.0) * np.ones((9, 1)), False),  # changes that cancel out show nothing
        (np.where(np.arange(400) % 8 == 0, -1.0, 0.0) * (np.arange(90) == 2)[:, None], False),  # one layer of many
    ],
)
def test_accepted_is_what_shows_a_change_below_the_bound(changes: np.ndarray, accepted: bool) -> None:
    points = [f"layer {point}" for point in range(len(changes))]
    trial = Trial(
        texts=10,
        total=99,
        difference=0.01,
        unit="",
        where="",
        points=points,
        changes=[changes[:, :10], changes[:, 10:]],
    )
    assert (precision._too_much(trial.record()) == "") is accepted
    assert trial.record()["items"] == changes.shape[1]
