"""Which tensors a GGUF file must hold for a model, and a refusal of files that lack some or hold others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.models.accounting import demand_complete, demand_used

_MERGE = "join them with llama.cpp's gguf-split --merge, and name the result"
# Tables that are computed from the metadata, not weights; what they say is checked where metadata is read.
_TABLES = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}


def demand_whole(path: Path) -> None:
    """Raise ModelError where a GGUF file is one part of several, or is cut short."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    count = int(fields["split.count"].contents()) if "split.count" in fields else 1
    if count > 1:
        number = int(fields["split.no"].contents()) + 1 if "split.no" in fields else 1
        total = fields["split.tensors.count"].contents() if "split.tensors.count" in fields else "all"
        raise ModelError(f"'{path}' is part {number} of {count} files", f"one file with {total} tensors", _MERGE)


def demand_gguf(path: Path, model: Any) -> None:
    """Raise ModelError where a GGUF file lacks a tensor of the model that was read from it, or holds one more.

    transformers leaves out, without a word, what it has no name for.
    """
    from gguf import GGUFReader

    names = {tensor.name for tensor in GGUFReader(path).tensors}
    wanted = _wanted(path, model)
    if wanted is None:
        return
    known = {*wanted, *(f"{name}.weight" for name in wanted), *_TABLES}
    demand_used(str(path), model, names - known)
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    absent = {name for name in wanted if not {name, f"{name}.weight"} & names and wanted[name] not in tied}
    demand_complete(str(path), model, absent)


def _wanted(path: Path, model: Any) -> dict[str, str] | None:
    """Map the tensors that transformers looks for in this file to weights; None where its report lists all itself."""
    from gguf import GGUFReader
    from transformers.integrations.gguf.utils import is_gguf_arch_supported
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    architecture = GGUFReader(path).fields["general.architecture"].contents()
    if is_gguf_arch_supported(architecture):
        return None
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())
    wanted: dict[str, str] = get_gguf_hf_weights_map(model, processor)
    return wanted
