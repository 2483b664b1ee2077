"""A device other than the CPU gives the CPU's numbers, and a tensor left behind on the other side is found.

The device is a pretended one (`pretend.py`), which holds to the rules of a GPU.
"""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.numpy import load_file

import families
import measuring
import pretend
import small_runs
from layeratlas.capture import effects, hidden, passages, reading, readout, streaming
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec, ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.models import changing, decoding, devices, intervening, load, loaded, loading, streamed, uploading
from layeratlas.models.devices import find_device, settled, wide
from layeratlas.models.memory import free_bytes
from layeratlas.models.untrained import untrained
from layeratlas.probes import make_design
from layeratlas.store import MemoryStore, Shape
from layeratlas.studies.hierarchy import layers

# One of each way to hold a position, a state or an expert; all others are a matter of the truth suite.
SOME = ("llama", "gemma3", "mixtral", "qwen3_next", "mamba")


# `make gpu` asks for the device that is here, and float32 products differ more between a GPU and a CPU.
REAL = os.environ.get("LAYERATLAS_TEST_DEVICE")
LIMIT = 1e-3 if REAL else 2e-5


@pytest.fixture
def device() -> Iterator[str]:
    if REAL:
        here = find_device(REAL)
        assert here.type != "cpu", "no GPU is here to test"
        yield str(here)
    else:
        with pretend.here() as here:
            yield str(here)


def both(folder_of: Any, loaded_of: Any, family: str, device: str, **settings: Any) -> tuple[Any, Any]:
    """Return a family's model on the CPU, shared with other tests, and on the device."""
    return loaded_of(family, device="cpu"), load(ModelSpec(id=str(folder_of(family)), device=device, **settings))


def assert_equal_on(on_cpu: Any, there: Any) -> None:
    assert "cpu" not in {p.device.type for p in there.model.parameters()}
    for name, measure in measuring.EVERYTHING.items():
        assert measuring.apart(measure(there), measure(on_cpu)) < LIMIT, name


@pytest.mark.parametrize("family", SOME)
def test_everything_read_off_a_model_is_the_same_on_a_device(folder_of, loaded_of, device, family):
    assert_equal_on(*both(folder_of, loaded_of, family, device))


@pytest.mark.truth
@pytest.mark.parametrize("family", sorted(set(families.FAMILIES) - set(SOME)))
def test_every_other_family_is_the_same_on_a_device(folder_of, loaded_of, device, family):
    assert_equal_on(*both(folder_of, loaded_of, family, device))


@pytest.mark.parametrize("family", ["llama", "gemma3", "mixtral"])
def test_a_streamed_model_is_the_same_on_a_device(folder_of, loaded_of, device, family, monkeypatch):
    """Blocks are read by another thread than the one that runs them."""
    monkeypatch.setattr(streaming, "_GROUP", 0)
    on_cpu, there = both(folder_of, loaded_of, family, device, weights="streamed")
    for name in ("packed", "padded", "means", "exits"):
        assert measuring.apart(measuring.EVERYTHING[name](there), measuring.EVERYTHING[name](on_cpu)) < LIMIT, name


def test_a_model_is_streamed_to_a_device_that_has_no_second_stream(folder_of, loaded_of, device, monkeypatch):
    """As mps is: blocks are read to it at once."""
    monkeypatch.setattr(uploading, "side_stream", lambda where: None)
    monkeypatch.setattr(uploading.Uploads, "move", None)
    on_cpu, there = both(folder_of, loaded_of, "llama", device, weights="streamed")
    assert measuring.apart(measuring.packed(there), measuring.packed(on_cpu)) < LIMIT


def test_random_weights_are_the_same_on_a_device(folder_of, loaded_of, device):
    on_cpu, there = both(folder_of, loaded_of, "llama", device)
    assert measuring.apart(measuring.packed(untrained(there, 3)), measuring.packed(untrained(on_cpu, 3))) < LIMIT
    # Control: other weights give other numbers.
    assert measuring.apart(measuring.packed(untrained(there, 3)), measuring.packed(untrained(on_cpu, 4))) > 0.1


@pytest.mark.parametrize("study", ["hierarchy", "exits", "segments"])
def test_a_study_measures_the_same_on_a_device(tmp_path, device, study):
    """Up to the sample of a run's own texts, which is run again alone on the same device."""
    model = small_runs.model_folder(tmp_path, "llama", layers=8 if study == "segments" else None)
    records = {}
    for name in ("cpu", device):
        (tmp_path / name).mkdir()
        spec = small_runs.spec_of(study, tmp_path, model)
        spec = spec.model_copy(update={"model": ModelSpec(id=model, device=name)})
        records[name] = small_runs.measured(spec, tmp_path / name)
    assert records[device].keys() == records["cpu"].keys()
    files = {
        name: sorted(path for path in (tmp_path / name / "run").rglob("*.*") if path.is_file()) for name in records
    }
    assert [path.name for path in files[device]] == [path.name for path in files["cpu"]]
    for there, here in zip(files[device], files["cpu"], strict=True):
        if here.suffix == ".parquet":
            assert_frame_equal(pl.read_parquet(there), pl.read_parquet(here), abs_tol=LIMIT, rel_tol=LIMIT)
        elif here.suffix == ".safetensors":
            arrays = [{name: value.astype(float) for name, value in load_file(path).items()} for path in (there, here)]
            assert measuring.apart(*arrays) < LIMIT


@pytest.mark.parametrize(("least", "where"), [(1, "there"), (60, "there"), (61, "cpu")])
def test_a_data_set_that_is_worth_it_is_probed_on_the_device_and_code_lengths_never(device, monkeypatch, least, where):
    """Sixty texts are probed there if at least so many are worth it, with the results of the CPU either way."""
    store = MemoryStore(Shape(60, 8, {"resid": 3}))
    values = np.random.default_rng(0).standard_normal((60, 3, 8)).astype(np.float32)
    store.write("all", list(range(60)), {"resid": values})
    items = tuple(Item(f"text {i}", "ab"[i % 2], f"group {i // 2}") for i in range(60))
    design = make_design(Dataset("own", "own", items), ProbeSpec(folds=3, repeats=1, shuffles=20), 0)
    asked = layers.Probing(
        store=store, component="resid", rows=np.arange(60), design=design, methods=("ridge", "svm"), seed=0
    )
    own, used = layers.probe_layers, set[str]()
    monkeypatch.setattr(layers, "probe_layers", lambda x, *more: used.add(str(x.device).split(":")[0]) or own(x, *more))
    monkeypatch.setattr(layers, "_WORTH_DEVICE", least)

    def probed(name: str) -> list[layers.LayerResult]:
        work: Any = SimpleNamespace(spec=SimpleNamespace(model=ModelSpec(device=name)))
        return list(layers.probed_layers(work, asked))

    there = probed(device)
    assert used == {"cpu" if where == "cpu" else str(device).split(":")[0]}
    for found, expected in zip(there, probed("cpu"), strict=True):
        for one, other in zip(found.scores, expected.scores, strict=True):
            np.testing.assert_allclose(one.scores, other.scores, atol=2e-3)  # the tolerance of the SVM
        assert found.codes is not None
        assert expected.codes is not None
        np.testing.assert_allclose(found.codes.bits, expected.codes.bits, atol=1e-9)


def test_a_device_without_float64_measures_the_same(folder_of, loaded_of):
    if REAL:
        pytest.skip("the device that is here decides what it has")
    with pretend.here(float64=False) as device:
        with pytest.raises(TypeError, match="float64"):
            torch.ones(2, device=device).double()
        assert wide(torch.ones(2, device=device)).dtype == torch.float64
        on_cpu, there = both(folder_of, loaded_of, "llama", str(device))
        assert_equal_on(on_cpu, there)


def test_auto_is_the_accelerator_that_is_here(device):
    assert find_device(f"{device}:0") == torch.device(device, 0)
    assert find_device("auto").type == pretend.NAME
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ModelError, match="no device 'pretend:1' here \\(1 pretend devices\\); expected auto or cpu"):
        find_device("pretend:1")
    with pytest.raises(ModelError, match="no device 'mps' here \\(this machine has pretend\\)"):
        find_device("mps")


def test_the_cpu_is_taken_where_there_is_no_accelerator():
    pretend.register()
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(ModelError, match="no device 'pretend' here \\(0 pretend devices\\)"):
        find_device("pretend")


def test_memory_is_that_of_the_device(device):
    assert free_bytes(torch.device(device)) == 8 * 10**9
    assert free_bytes(torch.device("cpu")) != 8 * 10**9


@pytest.mark.parametrize(("gain", "dtype"), [(8.0, "bfloat16"), (1.2, "float32")])
def test_auto_dtype_is_half_precision_where_the_device_gains_by_it(device, monkeypatch, gain, dtype):
    devices._half_pays.cache_clear()
    monkeypatch.setattr(devices, "matrix_rate", lambda where, kind, width: gain if kind == torch.bfloat16 else 1.0)
    assert settled(ModelSpec(dtype="auto", device=device)).dtype == dtype
    assert settled(ModelSpec(dtype="auto", device="cpu")).dtype == "float32"
    assert settled(ModelSpec(dtype="float16", device=device)).dtype == "float16"


def test_the_device_holds_to_the_rules_of_a_gpu(device):
    """The control of all that is above: what a GPU refuses is refused, and what it allows is not."""
    there, here = torch.arange(6.0, device=device).view(2, 3), torch.ones(2, 3)
    for wrong in (
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: here[there[:, 0] > 0],
        lambda: torch.nn.functional.embedding(torch.tensor([1]), there),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            wrong()
    with pytest.raises((RuntimeError, TypeError)):
        np.asarray(there)
    assert (there * torch.tensor(2.0)).tolist() == [[0, 2, 4], [6, 8, 10]]
    assert there[torch.tensor([1])].tolist() == [[3, 4, 5]]
    late = there.to("cpu", non_blocking=True)
    assert late.isnan().all()
    devices.synchronize(torch.device(device))
    assert late.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_copy_on_a_stream_beside_the_device_s_own_comes_only_when_both_have_waited(device):
    """A device's own stream does not wait for it, so that computation goes on."""
    where, values = torch.device(device), torch.arange(3.0)
    there, stream = torch.get_device_module(where), devices.side_stream(where)
    assert stream is not None
    stream.wait_stream(there.current_stream(where))
    for waits in (False, True):
        target = torch.empty(3, device=where)
        if waits:
            stream.wait_stream(there.current_stream(where))
        with there.stream(stream):
            target.copy_(values, non_blocking=True)
        devices.synchronize(where)
        assert target.isnan().all()
        stream.synchronize()
        assert target.tolist() == values.tolist() if waits else target.isnan().all()
    assert devices.side_stream(torch.device("cpu")) is None


# What is seeded: the function, what is taken out of it, what stands there instead, and the reading that finds it.
FAULTS: list[tuple[Any, str, str, str, str]] = [
    (loaded.LoadedModel, "run", "input_ids.to(self.device)", "input_ids", "packed"),
    (loaded, "_to", "value.to(device)", "value", "packed"),
    (reading, "read_batch", "to_host(torch.stack(seen[c], 1).float())", "torch.stack(seen[c], 1).float()", "packed"),
    (reading, "to_host", "synchronize(tensor.device)", "pass", "packed"),
    (reading, "_reader", "batch.ids.shape[1]), device=device", "batch.ids.shape[1])", "means"),
    (readout.Readout, "_ready", ".to(self.device, self.unembedding.weight.dtype)", "", "exits"),
    (readout.Readout, "log_probs", "logits.cpu()", "logits", "exits"),
    (readout.Readout, "_normalisers_of", "sums.cpu()", "sums", "exits"),
    (readout.Readout, "best", ".cpu()", '.to("cpu", non_blocking=True)', "exits"),
    (passages, "read_passages", "states[i].cpu()", "states[i]", "passages"),
    (passages, "_part", ".cpu()", "", "passages"),
    (effects, "_read", ".cpu()", "", "interventions"),
    (effects, "stream_sizes", ".cpu()", "", "interventions"),
    (intervening, "mean_vectors", ".cpu()", '.to("cpu", non_blocking=True)', "interventions"),
    (changing._Noise, "like", ".to(values.device)", "", "interventions"),
    (changing.Lines, "late", ".to(device)", "", "interventions"),
    (changing, "change_of", "strength * vector.to(h.device)", "strength * vector", "interventions"),
    (decoding, "_continue", "ids.to(model.device)", "ids", "decoded"),
]


def broken(owner: Any, name: str, old: str, new: str) -> Callable[..., Any]:
    """Return a function as it would be with something else in place of a piece of its source."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(getattr(owner, name))))
    assert old in source, f"{name} has no {old}"
    scope = inspect.unwrap(getattr(owner, name)).__globals__
    names: dict[str, Any] = {}
    exec(compile("from __future__ import annotations\n" + source.replace(old, new, 1), name, "exec"), scope, names)
    function: Callable[..., Any] = names[name]
    return function


def seed_fault(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, old: str, new: str) -> None:
    """Put the broken function wherever the sound one is known by its name."""
    sound, wrong = getattr(owner, name), broken(owner, name, old, new)
    monkeypatch.setattr(owner, name, wrong)
    for module in [m for key, m in sys.modules.items() if key.split(".")[0] in ("layeratlas", "measuring")]:
        if getattr(module, name, None) is sound:
            monkeypatch.setattr(module, name, wrong)


def is_found(measured: Callable[[], measuring.Arrays], expected: measuring.Arrays) -> bool:
    try:
        return measuring.apart(measured(), expected) > 1e-3
    except Exception:
        return True


@pytest.mark.parametrize(("owner", "name", "old", "new", "by"), FAULTS)
def test_a_transfer_left_out_is_found(folder_of, loaded_of, device, monkeypatch, owner, name, old, new, by):
    on_cpu, there = both(folder_of, loaded_of, "gemma3", device)
    measure = measuring.EVERYTHING[by]
    expected = measure(on_cpu)
    assert not is_found(lambda: measure(there), expected)
    seed_fault(monkeypatch, owner, name, old, new)
    assert is_found(lambda: measure(there), expected)


WHILE_LOADING: list[tuple[Any, str, str, str, str, str]] = [
    (loading, "_read", "merged(model, spec).to(device)", "merged(model, spec)", "gemma3", "resident"),
    # Rotary embeddings move their own buffers; the mask of GPT-Neo's attention is one that does not.
    (streamed.Streamer, "__init__", "buffer.to(device)", "buffer", "gpt_neo", "streamed"),
    (streamed._LoadPlan, "load", '{"": device}', '{"": torch.device("cpu")}', "gemma3", "streamed"),
    (streamed.Streamer, "load", "if to.overlaps:\n", "if False:\n", "gemma3", "streamed"),
    (uploading.Uploads, "move", "self._stream.synchronize()", "pass", "gemma3", "streamed"),
    (uploading.Uploads, "move", "self._stream.wait_stream", "print", "gemma3", "streamed"),
    (hidden.HiddenStates, "get", "stream.to(device)", "stream", "gemma3", "streamed"),
]


@pytest.mark.parametrize(("owner", "name", "old", "new", "family", "weights"), WHILE_LOADING)
def test_a_weight_left_behind_is_found(
    folder_of, loaded_of, device, monkeypatch, owner, name, old, new, family, weights
):
    monkeypatch.setattr(streaming, "_GROUP", 0)
    expected = measuring.packed(loaded_of(family, device="cpu"))

    def measured() -> measuring.Arrays:
        there = load(ModelSpec(id=str(folder_of(family)), device=device, weights=weights))
        assert {p.device.type for p in there.anatomy.unembedding.parameters()} == {pretend.NAME}
        return measuring.packed(there)

    assert not is_found(measured, expected)
    seed_fault(monkeypatch, owner, name, old, new)
    assert is_found(measured, expected)
