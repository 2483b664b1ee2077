"""Read a model's config and tokenizer without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layeratlas.core.spec import ModelSpec
from layeratlas.models.chat import Chat
from layeratlas.models.config import check_config
from layeratlas.models.gguf_cache import gguf_where
from layeratlas.models.gguf_config import read_gguf_config
from layeratlas.models.quiet import quiet
from layeratlas.models.refusals import explained
from layeratlas.models.sources import source_of
from layeratlas.models.tokenizing import read_tokenizer

# The `from_pretrained` arguments that say where to look.
PLACE = "pretrained_model_name_or_path"


def common_of(spec: ModelSpec, where: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments common to every `from_pretrained` of a model. Raises ModelError for a refused config."""
    if "gguf_file" not in where:
        check_config(where[PLACE], spec, bool(where.get("local_files_only")))
    return {**where, "revision": spec.revision, "trust_remote_code": spec.trust_remote_code}


def read_config(spec: ModelSpec) -> tuple[Any, Any]:
    """Return a model's config and tokenizer; no weight is read. Raises what `load` raises for them."""
    from transformers import AutoConfig

    source = source_of(spec, need_weights=False)
    with quiet(), explained(spec):
        common = common_of(spec, gguf_where(Path(source.place)) if source.kind == "gguf" else {PLACE: source.place})
        tokenizer = read_tokenizer(spec, common)
        if source.kind == "gguf":
            return read_gguf_config(Path(source.place)), tokenizer
        return AutoConfig.from_pretrained(**common), tokenizer


def template_hash(spec: ModelSpec) -> str:
    """Return the SHA-256 of a model's chat template; no weight is read. Raises ModelError as `Chat` does."""
    source = source_of(spec)
    with quiet(), explained(spec):
        where = gguf_where(Path(source.place)) if source.kind == "gguf" else {PLACE: source.place}
        tokenizer = read_tokenizer(spec, common_of(spec, where))
    return Chat(tokenizer, spec).sha256
