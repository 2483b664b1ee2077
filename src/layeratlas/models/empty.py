"""Build a model without weights, in the right dtype and attention kernel, and check its vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec
from layeratlas.models.precision import dtype_of
from layeratlas.models.streamed import build_empty


def empty_model(spec: ModelSpec, config: Any, progress: Progress) -> Any:
    """Build the model that a config describes, without weights, in the spec's dtype and attention kernel."""

    def build(attention: str) -> Any:
        return build_empty(deepcopy(config), dtype_of(spec.dtype), attention, spec.trust_remote_code)

    return with_kernel(spec, progress, build)


def with_kernel(spec: ModelSpec, progress: Progress, make: Callable[[str], Any]) -> Any:
    """Build a model with the spec's attention kernel, or with eager attention if the family supports nothing else."""
    try:
        return make(spec.attention)
    except ValueError as error:
        # Some families support one kernel only; the run records which one was used.
        if spec.attention == "eager" or "attention" not in str(error):
            raise
        progress.note(f"{spec.id} has no {spec.attention} attention kernel; using eager")
        return make("eager")


def check_vocabulary(spec: ModelSpec, model: Any, tokenizer: Any) -> None:
    """Raise ModelError if the tokenizer has tokens that the model does not embed."""
    # Added tokens (such as a pad) may exceed the embeddings of a valid model; the base vocabulary may not.
    rows, tokens = model.get_input_embeddings().num_embeddings, tokenizer.vocab_size
    if not 0 < tokens <= rows:
        raise ModelError(
            f"'{spec.id}': the tokenizer has {tokens} tokens, the model embeds {rows}",
            "the tokenizer that the model was trained with",
            "check that tokenizer.json is there and belongs to these weights",
        )
