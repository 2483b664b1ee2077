"""A PEFT adapter that is asked for is merged whole, into the weights that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

import tensors
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.models.untrained import untrained

peft = pytest.importorskip("peft")
# Of the library itself, where the tests make adapters with it.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

TEXT = "A shop sells tea."
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "up_proj"]},
    "rank-stabilised": {"r": 4, "lora_alpha": 6, "use_rslora": True, "target_modules": ["q_proj", "down_proj"]},
    "modules to save": {"r": 2, "target_modules": ["v_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
    "ranks by module": {"r": 2, "rank_pattern": {"up_proj": 5}, "target_modules": ["up_proj", "k_proj"]},
    "dora": {"r": 4, "use_dora": True, "target_modules": ["o_proj"]},
    "biases": {"r": 2, "bias": "lora_only", "target_modules": ["q_proj"]},
    "every linear layer": {"r": 2, "target_modules": "all-linear"},
}
Adapt = Callable[..., Path]


def adapted(base: Path, settings: dict[str, Any]) -> Any:
    """Return a PEFT model whose adapter is random and far from doing nothing."""
    model = hf.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(1)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()


@pytest.fixture
def adapt(tiny_model_dir: Path, tmp_path: Path) -> Adapt:
    def get(**settings: Any) -> Path:
        adapted(tiny_model_dir, settings).save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return get


def logits_of(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits


@pytest.mark.parametrize("kind", KINDS)
def test_merged_weights_are_pefts_own(kind: str, tiny_model_dir: Path, adapt: Adapt) -> None:
    folder = adapt(**KINDS[kind])
    loaded = load(ModelSpec(id=str(tiny_model_dir), adapter=str(folder)))
    base = hf.AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    untouched = {name: weight.clone() for name, weight in base.state_dict().items()}
    wanted = peft.PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict()
    weights = loaded.model.state_dict()
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    assert any(not torch.equal(weights[name], untouched[name]) for name in wanted)  # the control
    # And the merged model computes what the adapter does beside its base.
    ids = torch.tensor([loaded.encode(TEXT)])
    assert torch.allclose(loaded.run(ids, logits=True), logits_of(adapted(tiny_model_dir, KINDS[kind]), ids), atol=1e-4)
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= set(loaded.info["files"])
    assert loaded.info["class"] == "LlamaForCausalLM"
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


def test_the_scale_is_that_of_the_ranks_root(tiny_model_dir: Path, adapt: Adapt) -> None:
    """By hand, so that merging is not only compared with itself."""
    folder = adapt(**KINDS["rank-stabilised"])
    name = "model.layers.1.mlp.down_proj"
    low = load_file(folder / "adapter_model.safetensors")
    up, down = (low[f"base_model.model.{name}.lora_{side}.weight"] for side in "BA")
    merged, plain = (
        load(ModelSpec(id=str(tiny_model_dir), **more)).model.get_submodule(name).weight
        for more in ({"adapter": str(folder)}, {})
    )
    assert torch.allclose(merged - plain, up @ down * 6 / 4**0.5, atol=1e-5)


def test_streamed_weights_take_no_adapter(tiny_model_dir: Path, adapt: Adapt) -> None:
    folder = adapt(**KINDS["lora"])
    with pytest.raises(ModelError, match="is streamed; expected resident weights to merge an adapter"):
        load(ModelSpec(id=str(tiny_model_dir), adapter=str(folder), weights="streamed"))
    # Left to itself, a model that would be streamed stays resident, since it has an adapter.
    model = load(ModelSpec(id=str(tiny_model_dir), adapter=str(folder), memory=1e-6))
    assert model.info["weights"] == "resident"


@pytest.mark.parametrize("kind", tensors.MUTATIONS)
def test_no_mutated_adapter_is_merged(kind: str, tiny_model_dir: Path, adapt: Adapt) -> None:
    folder = adapt(**KINDS["lora"])
    tensors.edit(folder, lambda t: tensors.MUTATIONS[kind](t, sorted(t)[3]))
    with pytest.raises(ModelError) as caught:
        load(ModelSpec(id=str(tiny_model_dir), adapter=str(folder)))
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_model_is_refused(tiny_model_dir: Path, adapt: Adapt) -> None:
    folder = adapt(**KINDS["lora"])
    tensors.edit(folder, lambda t: [t.update({name.replace("layers.2", "layers.9"): t.pop(name)}) for name in list(t)])
    with pytest.raises(ModelError, match=r"lacks 4 tensors \(base_model\.model\.model\.layers\.2\."):
        load(ModelSpec(id=str(tiny_model_dir), adapter=str(folder)))


def test_pickled_adapters_and_those_without_weights_are_refused(tiny_model_dir: Path, adapt: Adapt) -> None:
    folder = adapt(**KINDS["lora"])
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors; expected safetensors; pickles"):
        load(ModelSpec(id=str(tiny_model_dir), adapter=str(folder)))


def test_an_adapter_that_changes_no_weights_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    config = {"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 2}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file({"prompt_embeddings": torch.ones(2, 32)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="of the kind PROMPT_TUNING, which changes no weights"):
        load(ModelSpec(id=str(tiny_model_dir), adapter=str(tmp_path)))


def test_the_untrained_twin_has_no_adapter(tiny_model_dir: Path, adapt: Adapt) -> None:
    merged = load(ModelSpec(id=str(tiny_model_dir), adapter=str(adapt(**KINDS["lora"]))))
    plain = load(ModelSpec(id=str(tiny_model_dir)))
    ids = torch.tensor([merged.encode(TEXT)])
    assert torch.equal(untrained(merged, seed=1).run(ids), untrained(plain, seed=1).run(ids))
