"""A language model inside a multimodal one is measured as the whole computes it on text alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.auto import modeling_auto

import families
import layeratlas as la
import tensors
import wrapped
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import COMPONENTS, CaptureSpec, ModelSpec
from layeratlas.models import LoadedModel, load, observe
from layeratlas.models.config import check_config
from layeratlas.models.decoding import greedy
from layeratlas.models.untrained import untrained

# Longer than the sliding windows and attention chunks of the configs.
TEXT = "A shop sells tea to 12 people, and nobody met them there."
WEIGHTS = ["resident", "streamed"]


@pytest.fixture(scope="module")
def wrapper_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def get(name: str) -> Path:
        return wrapped.save(tmp_path_factory.mktemp("wrappers") / name, wrapped.WRAPPERS[name]())

    return get


def loaded(folder: Path, weights: str) -> LoadedModel:
    """Load a model; all blocks of a streamed one are then read, so that it can be run as a whole."""
    model = load(ModelSpec(id=str(folder), weights=weights))  # type: ignore[arg-type]
    if model.streamer is not None:
        model.streamer.load(range(model.anatomy.n_layers))
    return model


def observed(model: LoadedModel, ids: torch.Tensor, positions: torch.Tensor | None = None) -> dict[str, Any]:
    with observe(model.anatomy, COMPONENTS, torch.clone) as seen:
        model.run(ids, position_ids=positions)
    return dict(seen)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", wrapped.WRAPPERS)
def test_stream_and_logits_are_those_of_the_whole_model(name: str, weights: str, wrapper_of) -> None:
    model = loaded(wrapper_of(name), weights)
    ids = torch.tensor([model.encode(TEXT)])
    whole = wrapped.build(wrapped.WRAPPERS[name]())
    with torch.no_grad():
        wanted = whole(input_ids=ids, output_hidden_states=True, use_cache=False)
    seen = observed(model, ids)
    assert model.anatomy.n_layers == len(wanted.hidden_states) - 1 == families.LAYERS
    for layer in range(model.anatomy.n_layers):
        assert torch.allclose(seen["resid"][layer], wanted.hidden_states[layer], rtol=1e-5, atol=1e-5)
    logits = model.anatomy.logits(seen["resid"][-1])
    assert torch.allclose(logits, wanted.logits, rtol=1e-5, atol=1e-5)
    assert torch.allclose(model.run(ids, logits=True), wanted.logits, rtol=1e-5, atol=1e-5)
    # Positions counted as a run counts them, and the control: at others the stream is another one.
    counted = torch.arange(ids.shape[1])[None]
    assert torch.allclose(observed(model, ids, counted)["resid"][-1], seen["resid"][-1], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(observed(model, ids, counted * 2)["resid"][-1], seen["resid"][-1], atol=1e-2)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", ["qwen2_vl", "llava_next", "mistral3", "gemma3", "llama4", "voxtral"])
def test_every_tensor_is_read_or_named_as_left_out(name: str, weights: str, wrapper_of) -> None:
    model = loaded(wrapper_of(name), weights)
    left_out = model.info["left_out"]
    assert left_out
    assert all(part["tensors"] > 0 and part["parameters"] > 0 for part in left_out)
    whole = wrapped.build(wrapped.WRAPPERS[name]())
    count = sum(weight.numel() for weight in whole.parameters())
    assert model.info["parameters"] + sum(part["parameters"] for part in left_out) == count
    assert not any(weight.device.type == "meta" for weight in model.model.parameters())
    if model.streamer is not None:
        checkpoint = model.streamer.checkpoint
        unread = set(checkpoint) - set(checkpoint.read)
        assert len(unread) == sum(part["tensors"] for part in left_out)
        assert set(checkpoint.read.values()) == {1}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", ["qwen2_vl", "llava"])
def test_no_mutated_checkpoint_loads(name: str, weights: str, wrapper_of, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(wrapper_of(name), tmp_path / "model"))
    tried, silent = tensors.silent(folder, weights, most=4)
    assert tried >= 12
    assert silent == []


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3"])
def test_the_dtype_is_that_of_the_spec_whatever_the_inner_config_says(
    name: str, weights: str, wrapper_of, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(wrapper_of(name), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config["text_config"], config["vision_config"]):
        part["dtype"] = "bfloat16"
    (folder / "config.json").write_text(json.dumps(config))
    model = loaded(folder, weights)
    assert {weight.dtype for weight in model.model.parameters()} == {torch.float32}
    ids = torch.tensor([model.encode(TEXT)])
    assert torch.equal(model.run(ids, logits=True), loaded(wrapper_of(name), weights).run(ids, logits=True))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", wrapped.REFUSED)
def test_what_needs_more_than_text_is_refused_with_the_reason(name: str, weights: str, tmp_path: Path) -> None:
    config, reason = wrapped.REFUSED[name]
    folder = wrapped.save(tmp_path / "model", config())
    with pytest.raises(ModelError, match=reason) as caught:
        load(ModelSpec(id=str(folder), weights=weights))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3", "mistral3"])
def test_an_untrained_twin_has_the_same_shape_and_other_weights(name: str, wrapper_of) -> None:
    model = loaded(wrapper_of(name), "resident")
    twin = untrained(model, seed=3)
    assert sum(p.numel() for p in twin.model.parameters()) == model.info["parameters"]
    ids = torch.tensor([model.encode(TEXT)])
    assert not torch.allclose(twin.run(ids), model.run(ids), atol=1e-2)


@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3", "llava", "mistral3"])
def test_greedy_answers_are_those_of_the_whole_model(name: str, wrapper_of) -> None:
    model = loaded(wrapper_of(name), "resident")
    prompt = model.encode(TEXT)[:20]
    whole = wrapped.build(wrapped.WRAPPERS[name]())
    ids = torch.tensor([prompt])
    wanted = []
    for _ in range(6):  # without a cache
        with torch.no_grad():
            logits = whole(input_ids=torch.cat([ids, torch.tensor([wanted], dtype=torch.long)], 1), use_cache=False)
        wanted.append(int(logits.logits[0, -1].argmax()))
    ends = [place for place, token in enumerate(wanted) if token == model.tokenizer.eos_token_id]
    assert greedy(model, [prompt], 6) == [wanted[: ends[0] if ends else None]]


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl", "gemma3", "mistral3"])
def test_texts_of_one_opening_share_it(name: str, wrapper_of) -> None:
    """The packed form is proved for the inner model's own masks and positions, not given up."""
    from layeratlas.capture import Reading, choose_plan

    model = loaded(wrapper_of(name), "resident")
    stem = model.encode(TEXT)[:30]
    readings = [Reading((*stem, *model.encode(word)[1:]), (len(stem),)) for word in ("tea", "water", "wine", "milk")]
    assert choose_plan(model, readings, CaptureSpec()).form != "padding"


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3"])
def test_a_run_of_exits_scores_as_the_whole_model_does(name: str, weights: str, wrapper_of, tmp_path: Path) -> None:
    questions = [
        {"question": f"{a} and {b}?", "choices": [str(a + b), str(a + b + 1)], "answer": 0}
        for a in range(2, 6)
        for b in range(2, 5)
    ]
    data = tmp_path / "sums.jsonl"
    data.write_text("\n".join(map(json.dumps, questions)))
    run = la.run(
        "exits", model=str(wrapper_of(name)), data=data, size="quick", out=tmp_path / "run", weights=weights,
        settings={"shots": 0},
    )  # fmt: skip
    manifest = json.loads((run.folder / "run.json").read_text())
    assert manifest["model"]["left_out"]
    assert manifest["model"]["weights"] == weights
    scores = load_file(next((run.folder).rglob("*sums*.safetensors")))["after"][:, -1]
    whole, tokenizer = wrapped.build(wrapped.WRAPPERS[name]()), families.byte_tokenizer()
    wanted = []
    for question in questions:
        start = tokenizer(f"<s>Q: {question['question']}\nA:", add_special_tokens=False)["input_ids"]
        for choice in question["choices"]:
            wanted.append(log_likelihood(whole, start, tokenizer(f" {choice}", add_special_tokens=False)["input_ids"]))
    assert torch.allclose(scores.double(), torch.tensor(wanted).double(), atol=1e-3)


def log_likelihood(model: Any, start: list[int], rest: list[int]) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*start, *rest]]), use_cache=False).logits[0].log_softmax(-1)
    places = range(len(start) - 1, len(start) + len(rest) - 1)
    return sum(float(logits[place, token]) for place, token in zip(places, rest, strict=True))


def test_every_multimodal_class_that_transformers_has_is_decided_by_its_config(tmp_path: Path) -> None:
    """None is refused as no causal language model before it is looked at, except encoder-decoders."""
    refused, looked_at = {}, []
    for kind, name in modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES.items():
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "architectures": [name]}))
        try:
            check_config(str(tmp_path), ModelSpec(id=kind))
        except ModelError as error:
            refused[kind] = str(error)
        else:
            looked_at.append(kind)
    assert {kind: text for kind, text in refused.items() if "is an encoder-decoder model" not in text} == {}
    assert len(looked_at) > 60
