"""PEFT adapters: merged into the weights where asked for, refused where one lies beside a model unasked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

_CONFIG = "adapter_config.json"


def check_adapter(folder: Path | None, spec: ModelSpec) -> None:
    """Raise ModelError where an adapter lies beside a model, or where the one asked for cannot be merged.

    Whether transformers applies an adapter that lies beside a model depends on whether `peft` is installed, so that the
    same directory would be two models.
    """
    if folder is not None and (folder / _CONFIG).is_file():
        raise ModelError(
            f"'{spec.id}' holds an adapter beside its weights ({_CONFIG})",
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
    """Return a model with the adapter that its spec names merged into its weights; the same model where none is."""
    if spec.adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, spec.adapter, use_safetensors=True).merge_and_unload()
