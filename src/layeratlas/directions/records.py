"""Records of a direction: its origin, and how well it decodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layeratlas.core.spec import Component


@dataclass(frozen=True, kw_only=True)
class Source:
    """The origin of a direction: the model, the texts, the layer and the component.

    `weights` are the SHA-256 of the model's files by name (empty for a hub model, which its revision identifies).
    `layer` is a layer of `resid` (0: the embeddings) or a block of `attn` and `mlp`. `position` is where each text was
    read; `method` is the probe.
    """

    model: str
    model_id: str
    family: str
    revision: str | None
    weights: Mapping[str, str]
    layers: int
    task: str
    level: str
    component: Component
    layer: int
    position: str
    method: str

    @property
    def block(self) -> int:
        """The block whose output (for `resid`), attention or MLP the direction lies in; -1 for the embeddings."""
        return self.layer - 1 if self.component == "resid" else self.layer

    @property
    def place(self) -> str:
        """The layer in words."""
        if self.component == "resid":
            return f"point {self.layer} of 0-{self.layers} of the residual stream"
        return f"the {'attention' if self.component == 'attn' else 'MLP'} output of block {self.layer}"


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well the direction decodes: the run's out-of-fold `metric` at this layer with its 95 % interval."""

    metric: str
    value: float
    lo: float
    hi: float
    chance: float
    n: int
    n_groups: int
