"""PEFT adapters: merged into the weights where asked for, refused where one lies beside a model unasked."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import safe_open

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What tells that a directory holds an adapter.
_SIGNS = (_CONFIG, _WEIGHTS, "adapter_model.bin", "pytorch_lora_weights.safetensors")


def check_adapter(folder: Path | None, spec: ModelSpec) -> None:
    """Raise ModelError where an adapter lies beside a model, or where the one asked for cannot be merged.

    Whether transformers applies an adapter that lies beside a model depends on whether `peft` is installed, so that the
    same directory would be two models.
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
    """Return a model with the adapter that its spec names merged into its weights; the same model where none is.

    Raises ModelError where the adapter changes no weights (prompt tuning), or where its file holds other tensors than
    the adapter that its config describes for this model.
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
        # What it warns of (missing tensors, the base model's name, tied weights) is checked here or recorded.
        warnings.simplefilter("ignore")
        adapted = PeftModel.from_pretrained(model, spec.adapter, config=config, use_safetensors=True)
        _check_tensors(adapted, spec)
        return adapted.merge_and_unload()


def _check_tensors(adapted: Any, spec: ModelSpec) -> None:
    """Raise ModelError where the adapter's file and the adapter that was built name other tensors."""
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
