"""PEFT adapters: merged into the weights on request; a model directory that also holds an adapter is refused."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import safe_open

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Files that show that a directory holds an adapter.
_SIGNS = (_CONFIG, _WEIGHTS, "adapter_model.bin", "pytorch_lora_weights.safetensors")


def check_adapter(folder: Path | None, spec: ModelSpec) -> None:
    """Raise ModelError if the model's directory holds an adapter, or if the requested adapter cannot be merged.

    transformers applies an adapter from the model's directory only if `peft` is installed, so the same directory could
    load as two different models.
    """
    beside = [name for name in _SIGNS if folder is not None and (folder / name).is_file()]
    if beside:
        raise ModelError(
            f"'{spec.id}' holds an adapter beside its weights ({beside[0]})",
            "a model alone",
            "move the adapter to a directory of its own, and merge it with ModelSpec(adapter=DIRECTORY) if you mean it",
        )
    if spec.adapter is None:
        return
    if not (Path(spec.adapter) / _CONFIG).is_file():
        raise ModelError(f"'{spec.adapter}' has no {_CONFIG}", "the directory of a PEFT adapter", "check the path")
    if find_spec("peft") is None:
        raise ModelError("peft is not installed", "peft, to merge an adapter", "pip install peft")
    if spec.weights == "streamed":
        raise ModelError(f"'{spec.id}' is streamed", "resident weights to merge an adapter", "use weights='resident'")


def merged(model: Any, spec: ModelSpec) -> Any:
    """Merge the adapter that the spec names into the model's weights; return the model unchanged if it names none.

    Raises ModelError if the adapter changes no weights (prompt tuning), or if the tensors in its file are not those
    that its config describes for this model.
    """
    if spec.adapter is None:
        return model
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(spec.adapter)
    if config.is_prompt_learning:
        raise ModelError(
            f"'{spec.adapter}' is an adapter of the kind {config.peft_type.value}, which changes no weights",
            "one that can be merged, such as LoRA",
            "merge an adapter of another kind",
        )
    if not (Path(spec.adapter) / _WEIGHTS).is_file():
        raise ModelError(f"'{spec.adapter}' holds no {_WEIGHTS}", "safetensors; pickles are refused", "save it again")
    with warnings.catch_warnings():
        # peft's warnings (missing tensors, the base model's name, tied weights) are checked here or recorded.
        warnings.simplefilter("ignore")
        adapted = PeftModel.from_pretrained(model, spec.adapter, config=config, use_safetensors=True)
        _check_tensors(adapted, spec)
        return adapted.merge_and_unload()


def _check_tensors(adapted: Any, spec: ModelSpec) -> None:
    """Raise ModelError if the tensors in the adapter's file differ from those of the adapter that was built."""
    from peft.utils import get_peft_model_state_dict

    built = set(get_peft_model_state_dict(adapted))
    with safe_open(Path(str(spec.adapter)) / _WEIGHTS, framework="pt") as file:
        saved = set(file.keys())
    for words, names in (("lacks", built - saved), ("holds, beside what is merged,", saved - built)):
        if names:
            raise ModelError(
                f"the adapter '{spec.adapter}' {words} {len(names)} tensors ({min(names)})",
                f"an adapter of '{spec.id}'",
                "check that it was trained on this model",
            )
