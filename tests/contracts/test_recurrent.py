"""Models with state-space and other recurrent mixers are probed and read out as others are; no MLP is no curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import families
import small_runs
from layeratlas.capture import Reading, capture, choose_plan, store_shape
from layeratlas.core import registry
from layeratlas.core.edits import Edit
from layeratlas.core.errors import ModelError, SpecError
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec
from layeratlas.models import LoadedModel, intervene, load, observe
from layeratlas.runs.pipeline import execute
from layeratlas.store import MemoryStore

FEW = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, bootstrap=100)


@pytest.mark.parametrize("study", ["hierarchy", "exits"])
@pytest.mark.parametrize("family", families.RECURRENT)
def test_what_a_run_keeps_equals_its_texts_alone(family: str, study: str, tmp_path: Path) -> None:
    model = small_runs.model_folder(tmp_path, family)
    record = small_runs.measured(small_runs.spec_of(study, tmp_path, model), tmp_path)
    assert record["passed"]
    assert record["difference"] < 2e-5


@pytest.mark.parametrize(
    ("family", "components"),
    [("mamba2", {"resid", "attn"}), ("nemotron_h", {"resid"}), ("falcon_h1", {"resid", "attn", "mlp"})],
)
def test_a_component_that_some_blocks_lack_has_no_curve(
    family: str, components: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layeratlas.report.build", lambda folder, study: None)
    spec = small_runs.spec_of("hierarchy", tmp_path, small_runs.model_folder(tmp_path, family))
    out = execute(registry.get("studies", "hierarchy"), spec.model_copy(update={"probe": FEW}), tmp_path / "out")
    curves = pl.read_parquet(out / "curves.parquet")
    assert set(curves["component"]) == components
    left_out = small_runs.manifest(out)["left_out"]
    assert set(left_out) == {"attn", "mlp", "resid"} - components
    if family == "nemotron_h":
        assert left_out["mlp"] == "2 of 3 blocks have none"
    assert np.isfinite(curves["estimate"].to_numpy()).all()


def test_a_component_that_every_block_lacks_is_refused_where_no_other_is_asked_for(tmp_path: Path) -> None:
    spec = small_runs.spec_of("hierarchy", tmp_path, small_runs.model_folder(tmp_path, "mamba2"), components=("mlp",))
    with pytest.raises(SpecError, match="have no mlp; expected components that every block has; use --component resid"):
        small_runs.measured(spec, tmp_path)


def test_exits_are_ablated_by_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layeratlas.report.build", lambda folder, study: None)
    spec = small_runs.spec_of("exits", tmp_path, small_runs.model_folder(tmp_path, "zamba2"))
    spec = spec.model_copy(update={"probe": registry.get("studies", "exits").probe_spec("quick")})
    spec = spec.model_copy(update={"settings": spec.settings | {"ablate": True}})
    out = execute(registry.get("studies", "exits"), spec, tmp_path / "out")
    ablated = pl.read_parquet(out / "ablation.parquet")
    assert set(ablated["component"]) == {"resid", "attn"}
    assert small_runs.manifest(out)["status"] == "complete"


def test_an_edit_of_an_mlp_that_is_not_there_is_refused(loaded_of) -> None:
    with (
        pytest.raises(ModelError, match=r"block 1 of '.*' has no mlp"),
        intervene(loaded_of("mamba2"), [Edit(kind="zero", layers=(1,), component="mlp")]),
    ):
        pass


def test_a_multiplier_of_each_tap_is_undone_where_it_is_edited(loaded_of) -> None:
    """Falcon-H1: both mixers set to zero leave the stream as it was but for the MLP."""
    loaded: LoadedModel = loaded_of("falcon_h1")
    ids = torch.tensor([loaded.encode("A shop sells tea.")])
    zero = Edit(kind="zero", layers=(1,), component="attn")
    with (
        intervene(loaded, [zero], first=0),
        observe(loaded.anatomy, ("resid", "attn", "mlp"), torch.clone) as seen,
    ):
        loaded.run(ids)
    assert float(seen["attn"][1].abs().max()) < 1e-5
    change = seen["resid"][2] - seen["resid"][1] - seen["mlp"][1]
    assert float(change.abs().max()) < 1e-5


@pytest.mark.parametrize("family", families.RECURRENT)
def test_streamed_equals_resident(family: str, folder_of) -> None:
    values = {}
    readings = [Reading(tuple(range(3, 20 + n)), (16 + n,)) for n in range(3)]
    for weights in ("resident", "streamed"):
        model = load(ModelSpec(id=str(folder_of(family)), weights=weights))  # type: ignore[arg-type]
        spec = CaptureSpec(components=("resid",))
        store = MemoryStore(store_shape(model, 3, spec))
        packing = choose_plan(model, readings, spec)
        capture(model, packing.batches, store, form=packing.form)
        values[weights] = np.stack([store.read("resid", point) for point in range(families.LAYERS + 1)])
    assert np.array_equal(values["resident"], values["streamed"])
