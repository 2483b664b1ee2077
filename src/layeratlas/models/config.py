"""Check a model's config before any weight is read: is the model causal, supported, and free of remote code?"""

from __future__ import annotations

from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models.wrappers import is_wrapped, wrapper_names

_CAUSAL_ENDINGS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def check_config(place: str, spec: ModelSpec, local_files_only: bool = False) -> None:
    """Refuse a model that is not a causal language model, is unknown, or needs code that the spec does not allow.

    `place` is a directory or a hub id. Raises ModelError.
    """
    from transformers import AutoConfig, PretrainedConfig

    raw, _ = PretrainedConfig.get_config_dict(place, revision=spec.revision, local_files_only=local_files_only)
    kind = raw.get("model_type", "")
    if not _known(kind):
        if "AutoModelForCausalLM" in raw.get("auto_map", {}) and spec.trust_remote_code:
            return
        if raw.get("auto_map"):
            raise ModelError(
                f"'{spec.id}' (model type '{kind}') needs Python code of its own from the hub",
                "an architecture that transformers has built in",
                "read that code, then use --trust-remote-code (trust_remote_code=True) if you trust it",
            )
        raise ModelError(
            f"'{spec.id}' has the model type '{kind}', which this transformers does not know",
            "a causal language model",
            "check config.json or update transformers",
        )
    _check_causal(raw, kind, spec, AutoConfig.for_model(kind).is_encoder_decoder)


def _known(kind: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES


def _check_causal(raw: dict[str, Any], kind: str, spec: ModelSpec, sequence_to_sequence: bool) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    named = raw.get("architectures") or []
    wrapped = is_wrapped(kind, named)
    built = wrapper_names(kind)[0] if wrapped else MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    declared = ", ".join(named) or f"model type '{kind}'"
    expected = f"a causal language model{f' ({built})' if isinstance(built, str) else ''}"
    if raw.get("is_encoder_decoder", sequence_to_sequence):
        raise ModelError(f"'{spec.id}' is an encoder-decoder model ({declared})", expected, "name a decoder-only model")
    causal = wrapped or not named or any(name == built or name.endswith(_CAUSAL_ENDINGS) for name in named)
    if built is None or not causal:
        raise ModelError(
            f"'{spec.id}' is not a causal language model ({declared})", expected, "name a decoder-only model"
        )
