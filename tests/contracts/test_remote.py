"""A model on NDIF gives the vectors of the same model here; what NDIF cannot give is refused in one line.

`nnsight` is a stand-in that keeps to the part of its client that is used: the model runs in this process.
"""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import AutoModelForCausalLM

import layeratlas as la
import small_runs
from layeratlas.capture import Reading, capture, choose_plan, store_shape
from layeratlas.capture.readout import Readout
from layeratlas.core import registry
from layeratlas.core.errors import ModelError, SpecError
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.models import intervene, load
from layeratlas.planning.check import describe
from layeratlas.store import MemoryStore

TEXTS = ("the river rose", "a", "the river rose and the town slept", "nobody had read it")


class Client:
    """nnsight's model: `trace` runs it, after which its modules have an `input` and an `output`."""

    def __init__(self, folder: str, task: str) -> None:
        assert task == "text-generation"
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.requests = 0
        self._seen: dict[torch.nn.Module, SimpleNamespace] = {}

    def get(self, path: str) -> list[SimpleNamespace]:
        return [self._seen[module] for module in self._model.get_submodule(path)]

    @contextlib.contextmanager
    def trace(self, inputs, remote):
        assert remote
        self.requests += 1
        hooks = [
            module.register_forward_hook(self._note, with_kwargs=True)
            for module in self._model.modules()
            if type(module).__name__.endswith(("DecoderLayer", "Block"))
        ]
        with torch.no_grad():
            self._model(**inputs)
        for hook in hooks:
            hook.remove()
        yield

    def _note(self, module, args, kwargs, output) -> None:
        given = args[0] if args else kwargs["hidden_states"]
        self._seen[module] = SimpleNamespace(input=given, output=output)


@pytest.fixture
def ndif(monkeypatch) -> ModuleType:
    module = ModuleType("nnsight")
    module.TransformersModel, module.save = Client, lambda value: value
    module.CONFIG = SimpleNamespace(API=SimpleNamespace(APIKEY=None))
    monkeypatch.setitem(sys.modules, "nnsight", module)
    monkeypatch.setenv("NDIF_API_KEY", "a key")
    return module


def vectors(model, spec: CaptureSpec) -> np.ndarray:
    readings = []
    for text in TEXTS:
        ids = tuple(model.encode(text))
        positions = tuple(range(1, len(ids))) if spec.position == "mean" else (len(ids) - 1,)
        readings.append(Reading(ids=ids, positions=positions))
    store = MemoryStore(store_shape(model, len(readings), spec))
    packing = choose_plan(model, readings, spec)
    capture(model, packing.batches, store, form=packing.form)
    return np.stack([store.read("resid", layer) for layer in range(store.shape.points["resid"])])


@pytest.mark.parametrize("position", ["last", "mean"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_vectors_are_those_of_the_model_here(ndif, folder_of, loaded_of, family, position):
    remote = load(ModelSpec(id=str(folder_of(family)), weights="remote"))
    assert all(weight.device.type == "meta" for weight in remote.model.parameters())
    spec = CaptureSpec(components=("resid",), position=position)
    found, expected = vectors(remote, spec), vectors(loaded_of(family), spec)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found - np.roll(expected, 1, axis=0)).max() > 0.1  # a layer off is seen
    assert remote.remote._client.requests < len(TEXTS)
    assert (remote.info["weights"], remote.info["device"]) == ("remote", "NDIF")
    assert remote.info["files"] != loaded_of(family).info["files"]  # which a resumed run compares


def test_what_ndif_does_not_give_is_refused(ndif, folder_of, loaded_of):
    remote = load(ModelSpec(id=str(folder_of("llama")), weights="remote"))
    for use in (
        lambda: remote.run(torch.tensor([[1, 2]])),
        lambda: Readout(remote),
        lambda: intervene(remote, []).__enter__(),
    ):
        with pytest.raises(ModelError, match="on NDIF, which gives the residual stream alone"):
            use()


def test_a_check_says_what_a_run_sends_and_receives(ndif, folder_of, monkeypatch):
    monkeypatch.setattr(registry.get("studies", "hierarchy"), "tasks", ("items",))
    spec = ModelSpec(id=str(folder_of("llama")), weights="remote")
    head, blocks, _, *sizes = describe(spec).splitlines()
    assert head.endswith("(Llama): its weights are on NDIF, so no self-test can be run here")
    assert blocks.split() == [
        "blocks",
        "3",
        "of",
        "width",
        "32;",
        "only",
        "the",
        "residual",
        "stream",
        "can",
        "be",
        "read",
    ]
    texts = {text for data in registry.get("tasks", "items").build("quick") for text in data.texts}
    tokens = sum(map(len, load(spec).encode_all(list(texts))))
    assert sizes[0].split() == ["quick", f"{len(texts):,}", f"{tokens:,}", f"{len(texts) * 4 * 32 * 4 / 1e9:.2f}", "GB"]
    monkeypatch.delenv("NDIF_API_KEY")
    assert describe(spec, plan_only=True).splitlines()[0] == head
    with pytest.raises(SpecError, match="needs a key of NDIF"):
        describe(spec)


def test_a_request_that_fails_ends_in_one_line(ndif, folder_of, monkeypatch):
    remote = load(ModelSpec(id=str(folder_of("llama")), weights="remote"))

    def refuse(self, inputs, remote):
        raise ConnectionError("the model is\nnot running")

    monkeypatch.setattr(Client, "trace", refuse)
    with pytest.raises(ModelError, match=r"NDIF did not run '.*' \(the model is not running\)"):
        vectors(remote, CaptureSpec(components=("resid",)))


def test_without_the_package_or_a_key_it_is_refused(ndif, folder_of, monkeypatch):
    spec = ModelSpec(id=str(folder_of("llama")), weights="remote")
    monkeypatch.delenv("NDIF_API_KEY")
    with pytest.raises(SpecError, match="needs a key of NDIF; expected the variable NDIF_API_KEY"):
        load(spec)
    ndif.CONFIG.API.APIKEY = "kept by nnsight"
    assert load(spec).remote is not None
    monkeypatch.setitem(sys.modules, "nnsight", None)
    with pytest.raises(SpecError, match=r"needs the package 'nnsight'.*pip install 'layeratlas\[ndif\]'"):
        load(spec)
    with pytest.raises(ModelError, match="remote weights with --parallel 2"):
        load(spec.model_copy(update={"parallel": 2}))


@pytest.mark.truth
def test_a_run_on_ndif_has_the_curves_of_a_run_here(ndif, folder_of, tmp_path):
    texts, model = small_runs.texts_file(tmp_path), str(folder_of("llama"))
    options = {"model": model, "data": texts, "size": "quick", "probe": "ridge"}
    here = la.run(out=tmp_path / "here", **options)
    there = la.run(out=tmp_path / "there", weights="remote", **options)
    assert set(there.manifest["left_out"]) == {"attn", "mlp"}
    assert set(there.curves["component"]) == {"resid"}
    assert_frame_equal(there.curves, here.curves.filter(pl.col("component") == "resid"), abs_tol=1e-5)
    assert there.manifest["recomputed"]["passed"]
    with pytest.raises(ModelError, match="on NDIF"):
        la.run("exits", model=model, weights="remote", size="quick", out=tmp_path / "exits")
