"""Every store keeps the same promises; the disk store equals the one in memory and trusts only what is whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest

from layeratlas.core.errors import StoreError
from layeratlas.store import DiskStore, MemoryStore, Shape

SHAPE = Shape(texts=11, width=6, points={"resid": 4, "attn": 3})
STORES = {
    "memory": lambda folder, shape=SHAPE: MemoryStore(shape),
    "disk": lambda folder, shape=SHAPE: DiskStore(folder / "activations", shape, "key"),
}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return STORES[request.param](tmp_path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "activations"


def truth(seed=0):
    rng = np.random.default_rng(seed)
    return {c: rng.standard_normal((SHAPE.texts, p, SHAPE.width)).astype(np.float32) for c, p in SHAPE.points.items()}


def shards(seed=0):
    """Cut the texts into shards of random sizes, in a random order."""
    rng = np.random.default_rng(seed)
    cuts = np.split(rng.permutation(SHAPE.texts), sorted(rng.choice(np.arange(1, SHAPE.texts), 3, replace=False)))
    return {f"shard{i}": cut.tolist() for i, cut in enumerate(cuts)}


def fill(store, values, parts):
    for key, rows in parts.items():
        store.write(key, rows, {c: array[rows] for c, array in values.items()})


def everything(store):
    return {(c, layer): store.read(c, layer) for c, points in SHAPE.points.items() for layer in range(points)}


def refuse_fsync(monkeypatch, code=errno.ENOSPC):
    def full(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_in_any_order_is_read_in_the_order_of_the_texts(store, seed):
    values = truth(seed)
    fill(store, values, shards(seed))
    for (component, layer), found in everything(store).items():
        assert found.dtype == np.float32
        assert np.array_equal(found, values[component][:, layer])


def test_disk_equals_memory_also_when_opened_again(tmp_path):
    stores = [make(tmp_path) for make in STORES.values()]
    for store in stores:
        fill(store, truth(), shards())
    stores.append(DiskStore.open(tmp_path / "activations"))
    reference, *others = map(everything, stores)
    for other in others:
        assert all(np.array_equal(reference[at], other[at]) for at in reference)


def test_finished_names_the_shards_written_so_far(store):
    assert store.finished() == set()
    values, parts = truth(), shards()
    for i, (key, rows) in enumerate(parts.items(), 1):
        store.write(key, rows, {c: array[rows] for c, array in values.items()})
        assert store.finished() == set(list(parts)[:i])


def test_what_is_read_is_a_copy(store):
    fill(store, truth(), shards())
    store.read("resid", 0)[:] = 0
    assert np.array_equal(store.read("resid", 0), truth()["resid"][:, 0])


def test_an_incomplete_store_is_not_read(store):
    values = truth()
    store.write("one", [0, 1, 4], {c: array[[0, 1, 4]] for c, array in values.items()})
    message = r"8 of 11 texts have no activations \(the first is text 3\); expected a finished capture; run the same"
    with pytest.raises(StoreError, match=message):
        store.read("resid", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v | {"attn": v["attn"][:, :2]}, r"a shard's 'attn' has the shape \(2, 2, 6\); expected \(2, 3, 6\)"),
        (lambda v: v | {"resid": v["resid"][:1]}, r"a shard's 'resid' has the shape \(1, 4, 6\); expected \(2, 4, 6\)"),
        (lambda v: v | {"resid": v["resid"][..., :5]}, r"has the shape \(2, 4, 5\); expected \(2, 4, 6\)"),
        (lambda v: {"resid": v["resid"]}, r"a shard's 'attn' has the shape None; expected \(2, 3, 6\)"),
        (lambda v: v | {"mlp": v["attn"]}, r"a shard holds \['attn', 'mlp', 'resid'\]; expected \['attn', 'resid'\]"),
    ],
)
def test_a_shard_of_another_shape_is_refused_and_not_counted(store, change, message):
    values = {c: array[:2] for c, array in truth().items()}
    with pytest.raises(StoreError, match=message):
        store.write("bad", [0, 1], change(values))
    assert store.finished() == set()


def test_shards_may_hold_layers_instead_of_texts(store):
    values, everyone = truth(), list(range(SHAPE.texts))
    for start in range(3):
        assert not store.complete()
        store.write(f"resid{start}", everyone, {"resid": values["resid"][:, start : start + 1]}, {"resid": start})
    with pytest.raises(StoreError, match="11 of 11 texts have no activations"):
        store.read("resid", 3)
    last = {"resid": values["resid"][:, 3:], "attn": values["attn"]}
    for part in (everyone[:4], everyone[4:]):
        shard = {c: array[part] for c, array in last.items()}
        store.write(f"last{part[0]}", part, shard, {"resid": 3, "attn": 0})
    assert store.complete()
    assert all(np.array_equal(found, values[c][:, layer]) for (c, layer), found in everything(store).items())


@pytest.mark.parametrize("seed", range(3))
def test_some_texts_at_some_layers_are_those_of_whole_layers(store, seed):
    values, rng = truth(seed), np.random.default_rng(seed)
    fill(store, values, shards(seed))
    rows = rng.integers(SHAPE.texts, size=15)  # in any order, some twice
    for component, layers in (("resid", [3, 0, 1]), ("attn", range(1, 3))):
        found = store.read_layers(component, layers, rows)
        assert found.dtype == np.float32
        assert np.array_equal(found, values[component][rows][:, list(layers)].swapaxes(0, 1))
    with pytest.raises(StoreError, match="no layer 4 in 'resid'; expected 0 to 3"):
        store.read_layers("resid", [1, 4], rows)


def test_some_texts_are_read_from_shards_of_layers_too(store):
    values, everyone = truth(), list(range(SHAPE.texts))
    store.write("first", everyone, {"resid": values["resid"][:, :2]}, {"resid": 0})
    with pytest.raises(StoreError, match=r"have no activations"):
        store.read_layers("resid", [1, 2], np.array([4]))
    store.write("last", everyone, {"resid": values["resid"][:, 2:]}, {"resid": 2})
    assert np.array_equal(store.read_layers("resid", [1, 2], np.array([4]))[:, 0], values["resid"][4, 1:3])


def test_only_the_shards_of_the_texts_that_are_asked_for_are_opened(tmp_path, monkeypatch):
    values = truth()
    store = STORES["disk"](tmp_path)
    fill(store, values, {"asked": [0, 5, 7], "other": [row for row in range(SHAPE.texts) if row not in (0, 5, 7)]})
    (tmp_path / "activations" / "other.safetensors").unlink()
    assert np.array_equal(store.read_layers("resid", [2], np.array([7, 0]))[0], values["resid"][[7, 0], 2])
    with pytest.raises(FileNotFoundError):
        store.read_layers("resid", [2], np.array([7, 1]))


def test_layers_beyond_the_store_are_refused(store):
    with pytest.raises(StoreError, match=r"a shard's 'resid' has the shape \(11, 4, 6\)"):
        store.write("bad", list(range(11)), {"resid": truth()["resid"]}, {"resid": 1})
    assert store.finished() == set()


@pytest.mark.parametrize(
    ("component", "layer", "message"),
    [
        ("mlp", 0, "no component 'mlp'; expected one of resid, attn"),
        ("attn", 3, "no layer 3 in 'attn'; expected 0 to 2"),
        ("resid", -1, "no layer -1 in 'resid'; expected 0 to 3"),
    ],
)
def test_what_a_store_does_not_hold_is_refused(store, component, layer, message):
    fill(store, truth(), shards())
    with pytest.raises(StoreError, match=message):
        store.read(component, layer)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def alter(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def forget_receipt(path):
    path.with_suffix(".json").unlink()


def break_receipt(path):
    path.with_suffix(".json").write_text('{"sha256": ')


def empty_receipt(path):
    path.with_suffix(".json").write_text("{}")


@pytest.mark.parametrize("damage", [cut, alter, forget_receipt, break_receipt, empty_receipt, os.remove])
def test_a_damaged_shard_is_unfinished_after_reopening_and_can_be_written_again(folder, damage):
    parts, values = shards(), truth()
    fill(DiskStore(folder, SHAPE, "key"), values, parts)
    damage(folder / "shard1.safetensors")
    store = DiskStore(folder, SHAPE, "key")
    assert store.finished() == set(parts) - {"shard1"}
    with pytest.raises(StoreError, match=rf"{len(parts['shard1'])} of 11 texts have no activations"):
        store.read("resid", 0)
    fill(store, values, {"shard1": parts["shard1"]})
    assert all(np.array_equal(store.read("attn", i), values["attn"][:, i]) for i in range(3))
    assert DiskStore(folder, SHAPE, "key").finished() == set(parts)


@pytest.mark.parametrize(
    ("key", "shape", "dtype"),
    [
        ("other", SHAPE, "float32"),
        ("key", Shape(12, 6, SHAPE.points), "float32"),
        ("key", Shape(11, 6, {"resid": 4}), "float32"),
        ("key", SHAPE, "bfloat16"),
    ],
)
def test_a_folder_of_another_run_is_refused_and_left_alone(folder, key, shape, dtype):
    fill(DiskStore(folder, SHAPE, "key"), truth(), shards())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StoreError, match=r"holds activations of another model, texts, settings or library version"):
        DiskStore(folder, shape, key, dtype)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision_is_close_and_half_the_size(tmp_path, dtype, error):
    full, half = DiskStore(tmp_path / "a", SHAPE, "key"), DiskStore(tmp_path / "b", SHAPE, "key", dtype)
    assert half.missing_bytes() * 2 == full.missing_bytes() == 11 * 6 * 7 * 4
    for store in (full, half):
        fill(store, truth(), shards())
    for component, layer in (("resid", 3), ("attn", 0)):
        exact, near = full.read(component, layer), half.read(component, layer)
        assert near.dtype == np.float32
        assert np.all(np.abs(near - exact) <= error * np.abs(exact) + 1e-7)
        assert not np.array_equal(near, exact)


def test_a_full_disk_leaves_nothing_that_is_trusted(folder, monkeypatch):
    parts, values = shards(), truth()
    store = DiskStore(folder, SHAPE, "key")
    fill(store, values, {"shard0": parts["shard0"]})
    refuse_fsync(monkeypatch)
    with pytest.raises(StoreError, match=r"the disk is full: .* 'shard1\.safetensors' did not fit"):
        fill(store, values, {"shard1": parts["shard1"]})
    monkeypatch.undo()
    assert store.finished() == DiskStore(folder, SHAPE, "key").finished() == {"shard0"}
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


def test_a_disk_that_fills_up_between_shard_and_receipt_leaves_the_shard_untrusted(folder, monkeypatch):
    parts, values = shards(), truth()
    store = DiskStore(folder, SHAPE, "key")
    done, sync = [], os.fsync

    def full_the_second_time(handle):
        done.append(handle)
        if len(done) == 2:
            raise OSError(errno.ENOSPC, "full")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full_the_second_time)
    with pytest.raises(StoreError, match=r"the disk is full: .* 'shard0\.json' did not fit"):
        fill(store, values, parts)
    monkeypatch.undo()
    assert (folder / "shard0.safetensors").exists()
    assert store.finished() == DiskStore(folder, SHAPE, "key").finished() == set()


def test_space_is_checked_before_the_run(folder, monkeypatch):
    store = DiskStore(folder, Shape(1000, 1000, {"resid": 1000}), "key")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 3_999_999_999))
    message = r"4\.00 GB are free in '.*'; expected 4\.00 GB for the activations; free some space, use --out"
    with pytest.raises(StoreError, match=message):
        store.check_space()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 4_000_000_000))
    assert store.check_space() is None


def test_what_is_finished_needs_no_more_space(folder):
    store = DiskStore(folder, SHAPE, "key")
    fill(store, truth(), shards())
    assert store.missing_bytes() == 0
    assert DiskStore(folder, SHAPE, "key").missing_bytes() == 0


def test_parts_of_an_earlier_process_are_removed_on_opening(folder):
    DiskStore(folder, SHAPE, "key")
    (folder / ".shard.safetensors.abc.part").write_bytes(b"half")
    DiskStore(folder, SHAPE, "key")
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_a_missing_or_broken_manifest_is_refused(folder):
    with pytest.raises(StoreError, match="does not exist; expected a run folder"):
        DiskStore.open(folder)
    DiskStore(folder, SHAPE, "key")
    assert json.loads((folder / "manifest.json").read_text())["key"] == "key"
    (folder / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        DiskStore.open(folder)


def test_parts_are_the_whole_shard_by_shard(store):
    values = truth()
    fill(store, values, shards())
    for component, layer in everything(store):
        rows, vectors = zip(*store.parts(component, layer), strict=True)
        assert sorted(np.concatenate(rows)) == list(range(SHAPE.texts))
        np.testing.assert_array_equal(np.concatenate(vectors), values[component][np.concatenate(rows), layer])
    assert len(rows) == (4 if isinstance(store, DiskStore) else 1)


def test_each_text_comes_once_from_shards_that_overlap(tmp_path):
    """A sweep over blocks that was stopped, and begun again by a process that groups blocks and texts otherwise."""
    shape, rng = Shape(4, 3, {"resid": 3}), np.random.default_rng(0)
    values = rng.normal(size=(4, 3, 3)).astype(np.float32)
    store = DiskStore(tmp_path / "store", shape, key="k")
    store.write("stopped", [0, 1, 2, 3], {"resid": values[:, :2]}, {"resid": 0})
    for layer in range(3):
        for rows in ([0, 1], [2, 3]):
            store.write(f"{layer}-{rows[0]}", rows, {"resid": values[rows, layer : layer + 1]}, {"resid": layer})
    for layer in range(3):
        rows, vectors = (np.concatenate(part) for part in zip(*store.parts("resid", layer), strict=True))
        assert sorted(rows) == [0, 1, 2, 3]
        assert np.array_equal(vectors, values[rows, layer])


def test_parts_end_in_one_line_where_texts_lack(tmp_path):
    store = STORES["disk"](tmp_path)
    fill(store, truth(), {"one": [0, 1]})
    with pytest.raises(StoreError, match="9 of 11 texts have no activations"):
        list(store.parts("resid", 0))


def test_shards_of_the_same_content_are_taken_from_another_folder_and_only_sound_ones(tmp_path):
    values, parts = truth(), shards()
    other = DiskStore(tmp_path / "other", SHAPE, "key")
    fill(other, values, parts)
    damaged, *sound = parts
    path = tmp_path / "other" / f"{damaged}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    own = DiskStore(tmp_path / "own", SHAPE, "key")
    assert own.adopt(tmp_path / "other") == len(sound)
    assert own.finished() == set(sound)
    fill(own, values, {damaged: parts[damaged]})
    found = everything(DiskStore.open(tmp_path / "own"))
    assert all(np.array_equal(vectors, values[c][:, layer]) for (c, layer), vectors in found.items())
    fill(own, truth(1), {sound[0]: parts[sound[0]]})  # what one run writes anew does not change the other
    assert DiskStore.open(tmp_path / "other").finished() == set(sound)


def test_shards_of_equal_content_are_taken_from_a_store_of_the_same_origin_with_other_texts(tmp_path):
    """Shard `a` is of the same texts in both; `b` has another number of texts, and `c` is not there."""
    values = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    other = DiskStore(tmp_path / "other", Shape(3, 3, {"resid": 2}), "origin-one")
    other.write("a-x", [0, 1], {"resid": values[[3, 1]]})
    other.write("b-x", [2], {"resid": values[[0]]})
    planned = {"a-y": (3, 1), "c-y": (0,), "b-y": (0, 2)}
    own = DiskStore(tmp_path / "own", Shape(5, 3, {"resid": 2}), "origin-two")
    assert own.adopt(tmp_path / "other") == 0
    assert own.adopt(tmp_path / "other", planned) == 1
    assert own.finished() == DiskStore.open(tmp_path / "own").finished() == {"a-y"}
    rows, vectors = next(iter(own.parts("resid", 1)))
    assert rows.tolist() == [3, 1]
    assert np.array_equal(vectors, values[[3, 1], 1])
    for key, width, dtype in [
        ("another-two", 3, "float32"),
        ("origin-two", 4, "float32"),
        ("origin-two", 3, "float16"),
    ]:
        strange = DiskStore(tmp_path / f"{key}{width}{dtype}", Shape(5, width, {"resid": 2}), key, dtype)
        assert strange.adopt(tmp_path / "other", planned) == 0
    path = tmp_path / "other" / "a-x.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert DiskStore(tmp_path / "late", Shape(5, 3, {"resid": 2}), "origin-two").adopt(tmp_path / "other", planned) == 0


@pytest.mark.parametrize("content", [(SHAPE, "another key"), (Shape(texts=12, width=6, points=SHAPE.points), "key")])
def test_no_shard_is_taken_from_a_folder_with_another_content(tmp_path, content):
    other = DiskStore(tmp_path / "other", *content)
    fill(other, truth(), shards())
    own = DiskStore(tmp_path / "own", SHAPE, "key")
    assert own.adopt(tmp_path / "other") == 0
    assert own.adopt(tmp_path / "absent") == 0
    assert own.finished() == set()
