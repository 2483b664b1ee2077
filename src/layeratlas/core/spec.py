"""What a run is, fixed before it starts: frozen specs whose content hash names the run."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Component = Literal["resid", "attn", "mlp"]
Size = Literal["quick", "standard", "full"]
COMPONENTS: tuple[Component, ...] = ("resid", "attn", "mlp")
DEFAULT_MODEL = "smollm2-135m"


class Spec(BaseModel):
    """A frozen, hashable setting; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def content_hash(self) -> str:
        """Return 16 hex digits that change when any field does."""
        return hash_of(self.model_dump(mode="json"))


def hash_of(value: Any) -> str:
    """Return 16 hex digits of the SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ModelSpec(Spec):
    """Which model, and how its forward pass is computed.

    `id` is a Hugging Face hub id, a local directory, a `.gguf` file or a built-in alias. `bos="auto"`
    prepends exactly one BOS token where the tokenizer has one. `adapter` is the directory of a PEFT adapter that is
    merged into the weights (needs the package `peft`).

    `weights` and `memory` say where weights are kept, which changes no number, so that they are no part of a run's
    identity: `streamed` holds a few blocks at a time, `auto` streams what would not fit. `memory` is in GB.
    """

    id: str = DEFAULT_MODEL
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    attention: Literal["sdpa", "eager"] = "sdpa"
    device: str = "auto"
    bos: Literal["auto", "never"] = "auto"
    trust_remote_code: bool = False
    adapter: str | None = None
    weights: Literal["resident", "streamed", "auto"] = Field(default="auto", exclude=True)
    memory: float | None = Field(default=None, gt=0, exclude=True, description="GB of memory that the model may take")


class CaptureSpec(Spec):
    """Which activations are kept: components, the position read in each text, and the stored dtype.

    `position` is `last` (last token), `mean` (mean over tokens without position 0) or `span:NAME` (mean over
    the tokens of a span that the data set names). `packing="auto"` computes shared prefixes once where the model
    allows it; `sorted` is plain length-sorted batches.
    """

    components: tuple[Component, ...] = COMPONENTS
    position: str = Field(
        default="last", pattern=r"^(last|mean|span:[A-Za-z0-9_]+)$", description="last, mean or span:NAME"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_tokens: int = Field(default=2048, ge=1)
    packing: Literal["auto", "sorted"] = "auto"


class ProbeSpec(Spec):
    """How activations are probed: probes by name, grouped folds, repeats, label shuffles, bootstrap draws.

    For robustness: the SVM's C, the grid that ridge chooses its penalty from, and the number of principal components
    of the training rows that probes see (all features by default).
    """

    methods: tuple[str, ...] = ("ridge", "svm")
    folds: int = Field(default=5, ge=2)
    repeats: int = Field(default=5, ge=1)
    shuffles: int = Field(default=100, ge=20)
    bootstrap: int = Field(default=1000, ge=100)
    svm_c: float = Field(default=1.0, gt=0)
    penalties: tuple[float, ...] = Field(default=tuple(10.0**k for k in range(7)), min_length=1)
    pca: int | None = Field(default=None, ge=1)


class RunSpec(Spec):
    """Everything that decides a run's numbers. `settings` are the study's own, checked by `Study.settings`."""

    study: str = "hierarchy"
    size: Size = "standard"
    tasks: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    model: ModelSpec = ModelSpec()
    capture: CaptureSpec = CaptureSpec()
    probe: ProbeSpec = ProbeSpec()
    settings: dict[str, Any] = {}
    seed: int = 0
