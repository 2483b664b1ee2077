"""Read activations of a model that runs on NDIF, through nnsight; its weights are never on this machine.

Only the residual stream is read, since checking the contributions of sublayers needs the weights. https://ndif.us
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layeratlas.core.errors import AtlasError, ModelError, SpecError
from layeratlas.core.spec import ModelSpec

KEY = "NDIF_API_KEY"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where to read each text: on line `lines[i]`, at position `at[i]`, or as a weighted mean if `at` is None.

    `weights` (texts, tokens) are the weights of the means.
    """

    lines: Tensor
    at: Tensor | None
    weights: Tensor


class Remote:
    """A model on NDIF. `path` names its list of blocks in the module tree."""

    def __init__(self, spec: ModelSpec, path: str) -> None:
        self._spec, self._path = spec, path
        self._client, self._save = _client_of(spec)

    def read(self, ids: Tensor, mask: Tensor, places: Places) -> Tensor:
        """Return the residual stream, float32 (texts, L+1, d), of padded lines `ids` (lines, tokens) with their mask.

        Raises ModelError, in one line, if NDIF does not serve the model or the request fails.
        """
        try:
            points = _read(self._client, self._save, self._path, {"input_ids": ids, "attention_mask": mask}, places)
        except AtlasError:
            raise
        except Exception as error:
            raise ModelError(
                f"NDIF did not run '{self._spec.id}' ({' '.join(str(error).split())[:200]})",
                "a model that it serves now",
                "see https://nnsight.net/status, or use other --weights",
            ) from None
        return torch.stack([point.float().cpu() for point in points], 1)


def _read(client: Any, save: Any, path: str, inputs: dict[str, Tensor], places: Places) -> Sequence[Tensor]:
    # nnsight sends the source of the block below and the variables it uses: plain tensors and strings.
    lines, at, weights = places.lines, places.at, places.weights
    with client.trace(inputs, remote=True):
        blocks = client.get(path)
        streams = save([])
        for block in blocks:
            given = block.input
            if at is None:
                streams.append((weights.to(given.device)[:, :, None] * given[lines].float()).sum(1))
            else:
                streams.append(given[lines, at])
        last = blocks[-1].output
        last = last[0] if isinstance(last, tuple) else last
        if at is None:
            streams.append((weights.to(last.device)[:, :, None] * last[lines].float()).sum(1))
        else:
            streams.append(last[lines, at])
    return streams  # type: ignore[no-any-return]


def _client_of(spec: ModelSpec) -> tuple[Any, Any]:
    """Return nnsight's model, without weights, and its `save`; raises SpecError without the package or a key."""
    try:
        import nnsight
    except ImportError:
        raise SpecError(
            "--weights remote needs the package 'nnsight'", "that package", "pip install 'layeratlas[ndif]'"
        ) from None
    if not (os.environ.get(KEY) or nnsight.CONFIG.API.APIKEY):
        raise SpecError(
            "--weights remote needs a key of NDIF", f"the variable {KEY}", "get one at https://login.ndif.us"
        )
    revision = {} if spec.revision is None else {"revision": spec.revision}
    return nnsight.TransformersModel(spec.id, task="text-generation", **revision), nnsight.save
