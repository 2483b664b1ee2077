"""A streamed model gives the resident one's vectors bit for bit, reads each weight once and stays within its memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import families
from layeratlas.capture import Reading, capture, choose_plan, run, store_shape, streaming
from layeratlas.capture.hidden import HiddenStates
from layeratlas.capture.streaming import cut_blocks, stream
from layeratlas.core.errors import CaptureError, IdentityError, ModelError, StoreError
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.core.turns import Alone, Part
from layeratlas.models import LoadedModel, load
from layeratlas.store import DiskStore, MemoryStore, Store
from processes import dead_pid

Both = Callable[..., tuple[LoadedModel, LoadedModel]]


@pytest.fixture(autouse=True)
def _block_by_block(monkeypatch):
    monkeypatch.setattr(streaming, "_GROUP", 0)


def readings() -> list[Reading]:
    rng = np.random.default_rng(0)
    stem = rng.integers(3, 200, 20).tolist()
    texts = [[*stem[:k], *rng.integers(3, 200, n)] for k, n in ((20, 5), (20, 9), (10, 4), (0, 17), (3, 11))]
    return [Reading(tuple(int(i) for i in ids), (len(ids) - 1,)) for ids in texts]


@pytest.fixture
def both(folder_of, loaded_of):
    """A family's model in memory, shared with other tests, and streamed, of the test's own."""

    def get(family: str, **settings: object) -> tuple[LoadedModel, LoadedModel]:
        resident = loaded_of(family, **settings)
        streamed = load(ModelSpec(id=str(folder_of(family)), weights="streamed", **settings))  # type: ignore[arg-type]
        assert resident.streamer is None
        assert streamed.streamer is not None
        return resident, streamed

    return get


def captured(model: LoadedModel, spec: CaptureSpec, store: Store | None = None) -> Store:
    packing = choose_plan(model, readings(), spec)
    store = store or MemoryStore(store_shape(model, len(readings()), spec))
    capture(model, packing.batches, store, form=packing.form)
    return store


def equal(a: Store, b: Store) -> bool:
    cells = [(c, layer) for c, points in a.shape.points.items() for layer in range(points)]
    return all(np.array_equal(a.read(*cell), b.read(*cell)) for cell in cells)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_streamed_equals_resident_bit_for_bit_and_each_weight_is_read_once(name: str, both: Both) -> None:
    resident, streamed = both(name)
    spec = CaptureSpec(batch_tokens=64)
    assert equal(captured(resident, spec), captured(streamed, spec))
    checkpoint = streamed.streamer.checkpoint  # type: ignore[union-attr]
    assert set(checkpoint.read) == set(checkpoint)
    assert set(checkpoint.read.values()) == {1}
    assert not streamed.streamer.present  # type: ignore[union-attr]
    # Nothing is left behind: the same model can be swept again.
    assert equal(captured(resident, spec), captured(streamed, spec))


@pytest.mark.parametrize("components", [("resid",), ("mlp",), ("attn", "resid")])
@pytest.mark.parametrize("group", [0, 10**9])
def test_any_components_and_any_size_of_group(components, group, both, monkeypatch) -> None:
    monkeypatch.setattr(streaming, "_GROUP", group)
    resident, streamed = both("llama")
    spec = CaptureSpec(components=components, position="mean")
    assert equal(captured(resident, spec), captured(streamed, spec))


def test_bfloat16_streams_too(both: Both) -> None:
    resident, streamed = both("llama", dtype="bfloat16")
    spec = CaptureSpec(batch_tokens=64)
    assert equal(captured(resident, spec), captured(streamed, spec))


def test_shards_on_disk_hold_layers_and_a_finished_sweep_is_not_repeated(both: Both, tmp_path: Path) -> None:
    resident, streamed = both("llama")
    spec = CaptureSpec(batch_tokens=64)
    shape = store_shape(streamed, len(readings()), spec)
    store = captured(streamed, spec, DiskStore(tmp_path / "store", shape, "key"))
    assert equal(captured(resident, spec), DiskStore.open(tmp_path / "store"))
    captured(streamed, spec, DiskStore.open(tmp_path / "store"))
    read = streamed.streamer.checkpoint.read  # type: ignore[union-attr]
    assert all(count == 1 for name, count in read.items() if "layers.0." not in name)  # block 0 proves the trie
    shard = next(path for path in sorted((tmp_path / "store").glob("*.safetensors")))
    shard.write_bytes(shard.read_bytes()[:-1])
    again = DiskStore.open(tmp_path / "store")
    assert not again.complete()
    captured(streamed, spec, again)
    assert equal(store, again)
    assert not list((tmp_path / "store").glob(".hidden-*"))


class InTurns(Alone):
    """Several processes: `others` is what the others do first."""

    shared = True

    def __init__(self, others: Callable[[Sequence[Part]], None] = lambda parts: None) -> None:
        self.parts: list[Part] = []
        self._others = others

    def each(self, parts: Sequence[Part], on: str) -> None:
        self.parts = list(parts)
        self._others(parts)
        super().each(parts, on)


def test_processes_that_share_a_capture_sweep_over_ranges_of_texts(both: Both, tmp_path: Path, monkeypatch) -> None:
    """The vectors are those of one sweep; what another process has written is not computed again."""
    monkeypatch.setattr(run, "_CPU_TOKENS", 16)
    resident, streamed = both("llama")
    spec = CaptureSpec(batch_tokens=16)
    shape = store_shape(streamed, len(readings()), spec)
    alone = captured(resident, spec)
    turns = InTurns()
    first = captured(streamed, spec, DiskStore(tmp_path / "store", shape, "key", turns=turns))
    assert len(turns.parts) == 2
    assert equal(alone, first)
    swept: list[int] = []
    monkeypatch.setattr(run, "stream", lambda model, plan, sweep: swept.append(len(plan)) or stream(model, plan, sweep))

    def other(parts: Sequence[Part]) -> None:
        """Another process computes all parts, with other groups of blocks."""
        monkeypatch.setattr(streaming, "_GROUP", 10**9)
        theirs = DiskStore.open(tmp_path / "again", InTurns())
        theirs.gather()
        captured(streamed, spec, theirs)
        monkeypatch.setattr(streaming, "_GROUP", 0)

    again = InTurns(other)
    store = captured(streamed, spec, DiskStore(tmp_path / "again", shape, "key", turns=again))
    assert equal(alone, store)
    assert len(swept) == len(again.parts)  # all by the other one: none by this


def test_a_range_that_was_taken_over_is_not_written(both: Both) -> None:
    _, streamed = both("llama")

    def lost() -> None:
        raise StoreError("another process has taken over the part", "a process that does not sleep")

    class Lost(Alone):
        shared = True

        def each(self, parts: Sequence[Part], on: str) -> None:
            parts[0].compute(lost)

    spec = CaptureSpec(batch_tokens=64)
    store = MemoryStore(store_shape(streamed, len(readings()), spec))
    store.turns = Lost()
    with pytest.raises(StoreError, match="taken over"):
        captured(streamed, spec, store)
    assert not store.finished()


def test_hidden_states_beyond_the_budget_lie_on_disk_and_are_the_same(tmp_path: Path) -> None:
    tensors = [torch.randn(2, 5, 8, dtype=dtype) for dtype in (torch.float32, torch.bfloat16, torch.float32)]
    (tmp_path / f".hidden-{dead_pid()}@{platform.node()}@ab").mkdir()
    with HiddenStates(2 * 5 * 8 * 4, tmp_path) as hidden:
        for turn in range(2):  # a second turn replaces the first
            for i, tensor in enumerate(tensors):
                hidden.put(i, tensor + turn)
        files = list(tmp_path.rglob("*.safetensors"))
        assert len(files) == 2
        assert len(list(tmp_path.iterdir())) == 1
        for i, tensor in enumerate(tensors):
            assert torch.equal(hidden.get(i, torch.device("cpu")), tensor + 1)
    assert not list(tmp_path.iterdir())


def test_spilled_hidden_states_give_the_same_vectors(both: Both, monkeypatch) -> None:
    resident, streamed = both("llama")
    made = []
    monkeypatch.setattr(streaming, "HiddenStates", lambda spare, where: made.append(HiddenStates(0, where)) or made[0])
    spec = CaptureSpec(batch_tokens=64)
    assert equal(captured(resident, spec), captured(streamed, spec))
    assert made[0].spilled > 0


def test_groups_hold_every_block_once_and_two_fit(monkeypatch) -> None:
    monkeypatch.setattr(streaming, "_GROUP", 10**9)
    sizes = [30, 10, 10, 10, 50, 10]
    for room in (0, 60, 100, 200, 10**6):
        groups = cut_blocks(sizes, room)
        assert [layer for group in groups for layer in group] == list(range(6))
        for group in groups:
            assert len(group) == 1 or 2 * sum(sizes[layer] for layer in group) <= 0.7 * room
    assert cut_blocks(sizes, 10**6) == [[0, 1, 2, 3, 4, 5]]


def test_auto_streams_what_exceeds_the_memory_allowed(tiny_model_dir: Path) -> None:
    folder = tiny_model_dir
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e9
    assert load(ModelSpec(id=str(folder), memory=2 * size)).info["weights"] == "resident"
    assert load(ModelSpec(id=str(folder), memory=size / 2)).info["weights"] == "streamed"
    assert load(ModelSpec(id=str(folder), memory=size / 2, weights="resident")).info["weights"] == "resident"


def test_where_weights_lie_is_no_part_of_a_run() -> None:
    assert ModelSpec(weights="streamed", memory=3).content_hash() == ModelSpec().content_hash()
    assert ModelSpec(dtype="bfloat16").content_hash() != ModelSpec().content_hash()


def test_a_block_without_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = families.save(tmp_path / "llama", families.FAMILIES["llama"]())
    (file,) = folder.glob("*.safetensors")
    kept = {name: t for name, t in load_file(file).items() if "layers.1.mlp.up" not in name}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lacks 1 weights of LlamaForCausalLM \(model\.layers\.1\.mlp\.up_proj\.weight"
    ):
        load(ModelSpec(id=str(folder), weights="streamed"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = families.save(tmp_path / "llama", families.FAMILIES["llama"]())
    (file,) = folder.glob("*.safetensors")
    file = file.rename(folder / "model-1.safetensors")
    index = {"metadata": {}, "weight_map": {"model.norm.weight": file.name, "lm_head.weight": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model-2\.safetensors; expected every file"):
        load(ModelSpec(id=str(folder), weights="streamed"))


def test_every_streamed_block_is_proved(tiny_model_dir: Path) -> None:
    model = load(ModelSpec(id=str(tiny_model_dir), weights="streamed"))
    # A block that does something else than the one of its kind that was proved at load.
    block = model.streamer.blocks[2]  # type: ignore[union-attr]
    handle = block.register_forward_hook(lambda module, args, output: output * 1.5)
    with pytest.raises(IdentityError, match="a streamed block's contributions are off the residual sum"):
        captured(model, CaptureSpec())
    handle.remove()
    captured(model, CaptureSpec())


def test_an_overflow_names_the_layer_of_the_whole_model(tiny_model_dir: Path) -> None:
    model = load(ModelSpec(id=str(tiny_model_dir), weights="streamed"))
    block = model.streamer.blocks[1]  # type: ignore[union-attr]
    block.register_forward_hook(lambda module, args, output: output * float("inf"))
    with pytest.raises(CaptureError, match=r"a resid activation that is not finite at layer 2"):
        captured(model, CaptureSpec(components=("resid",)))


# 64 blocks of 6.9 MB; beside them 1.2 MB of embeddings.
_LARGE = {"num_hidden_layers": 64, "hidden_size": 512, "intermediate_size": 1024, "head_dim": 32}
_CHILD = """
import json, resource, sys, threading
threading.stack_size(2**18)  # a thread's stack counts as data, and the loader starts a few
import numpy as np, torch
torch.set_num_threads(1)
from layeratlas.capture import Reading, capture, choose_plan, store_shape
from layeratlas.models import load
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.core.turns import Alone, Part
from layeratlas.store import MemoryStore

def run(folder, weights, memory=None):
    model = load(ModelSpec(id=folder, weights=weights, memory=memory))
    spec = CaptureSpec(components=("resid",))
    texts = [Reading(tuple(range(3 + i, 20 + i)), (16,)) for i in range(8)]
    packing = choose_plan(model, texts, spec)
    store = MemoryStore(store_shape(model, len(texts), spec))
    capture(model, packing.batches, store, form=packing.form)
    return float(np.abs(store.read("resid", model.anatomy.n_layers)).sum())

small, large, allowed = sys.argv[1:]
run(small, "streamed")  # threads, libraries and caches are there before the limit is set
taken = [int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmData")][0]
resource.setrlimit(resource.RLIMIT_DATA, (taken + int(allowed), taken + int(allowed)))
for weights in ("streamed", "resident"):
    try:
        print(json.dumps(run(large, weights, 0.03)))
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on data is Linux's")
def test_a_model_of_eight_times_the_memory_limit_runs_within_it(tmp_path: Path) -> None:
    import transformers as hf

    big = families.save(tmp_path / "large", hf.LlamaConfig(**(families.LLAMA | _LARGE)), shard="7MB")
    small = families.save(tmp_path / "small", families.FAMILIES["llama"]())
    size = sum(path.stat().st_size for path in big.glob("*.safetensors"))

    # Without the threshold, glibc keeps address space that a block once took, though no memory lies behind it.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _CHILD, str(small), str(big), str(size // 8)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    streamed, resident = map(json.loads, done.stdout.splitlines())
    texts = [Reading(tuple(range(3 + i, 20 + i)), (16,)) for i in range(8)]
    model = load(ModelSpec(id=str(big), weights="resident"))
    spec = CaptureSpec(components=("resid",))
    store = MemoryStore(store_shape(model, len(texts), spec))
    packing = choose_plan(model, texts, spec)
    capture(model, packing.batches, store, form=packing.form)
    assert streamed == float(np.abs(store.read("resid", 64)).sum())
    # The limit bites: held whole, the same model does not fit.
    assert "memory" in resident
