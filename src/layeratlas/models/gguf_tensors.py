"""Check that a GGUF file holds exactly the tensors that a model needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.models.accounting import demand_complete, demand_used

_MERGE = "join them with llama.cpp's gguf-split --merge, and name the result"
# Tables computed from the metadata, not weights; they are checked with the metadata.
_TABLES = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}


def demand_whole(path: Path) -> None:
    """Raise ModelError if a GGUF file is one of several split files."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    count = int(fields["split.count"].contents()) if "split.count" in fields else 1
    if count > 1:
        number = int(fields["split.no"].contents()) + 1 if "split.no" in fields else 1
        total = fields["split.tensors.count"].contents() if "split.tensors.count" in fields else "all"
        raise ModelError(f"'{path}' is part {number} of {count} files", f"one file with {total} tensors", _MERGE)


def demand_gguf(path: Path, model: Any) -> None:
    """Raise ModelError if a GGUF file lacks a tensor of its model, or holds one that the model does not use.

    transformers silently ignores tensors that it has no name for.
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
    """Map the tensor names that transformers expects in the file to weights; None if its own report is complete."""
    from gguf import GGUFReader
    from transformers.integrations.gguf.utils import is_gguf_arch_supported
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    architecture = GGUFReader(path).fields["general.architecture"].contents()
    if is_gguf_arch_supported(architecture):
        return None
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())
    wanted: dict[str, str] = get_gguf_hf_weights_map(model, processor)
    return wanted
