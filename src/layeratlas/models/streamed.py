"""Models larger than memory: the weights of a block are in memory only while it runs.

The model is built without weights. All weights outside the blocks (embeddings, final norm, unembedding) are loaded once
and stay in memory; blocks are loaded, run and freed. transformers' loader converts names and dtypes, so a block equals
the one that `from_pretrained` would load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import ModelError
from layeratlas.models.accounting import account, demand_account
from layeratlas.models.anatomy import Anatomy, Contribution, Skeleton, find_skeleton, hidden_of
from layeratlas.models.checkpoint import Checkpoint
from layeratlas.models.quiet import quiet
from layeratlas.models.scales import demand_floats
from layeratlas.models.uploading import Uploads
from layeratlas.models.wrappers import auto_class, parts_beside

_MOST_KINDS = 4


def build_empty(config: Any, dtype: torch.dtype, attention: str, trust_remote_code: bool = False) -> Any:
    """Build the model of a config without weights: parameters on the meta device, buffers in memory."""
    from accelerate import init_empty_weights
    from transformers.initialization import no_init_weights

    with no_init_weights(), init_empty_weights(include_buffers=False):
        model = auto_class(config).from_config(
            config, dtype=dtype, attn_implementation=attention, trust_remote_code=trust_remote_code
        )
    model.tie_weights()  # moving to the meta device unties them
    return model.eval().requires_grad_(False)


class Streamer:
    """The blocks of a model without weights, and the files that hold them."""

    def __init__(self, model: Any, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.checkpoint, self.device, self.dtype = model, checkpoint, device, dtype
        self.skeleton: Skeleton = find_skeleton(model)
        self.blocks: list[nn.Module] = list(self.skeleton.blocks)
        self._returned: int | None = None
        self.present: set[int] = set()
        self._uploads = Uploads(device)
        self._plan = _LoadPlan(model, self.skeleton, checkpoint, dtype)
        self._plan.load(self._plan.outside, device)
        # As in transformers, weights that the config ties stay separate if the checkpoint holds two different ones.
        model.tie_weights(missing_keys=self._plan.missing, recompute_mapping=False)
        for module in model.modules():
            for name, buffer in list(module._buffers.items()):
                if buffer is not None and buffer.device.type != "meta":
                    module._buffers[name] = buffer.to(device)
        self._whole("outside the blocks", _outside(self.skeleton))

    @property
    def harmless(self) -> tuple[str, ...]:
        """Tensors of the files that are known to carry no weight."""
        return self._plan.harmless

    def load_part(self, name: str) -> None:
        """Read the weights of a multimodal model's module outside the decoder and the unembedding."""
        self._plan.load(self._plan.beside[name], self.device)

    @property
    def block_bytes(self) -> list[int]:
        """Bytes of each block in memory."""
        return [sum(p.numel() * p.element_size() for p in block.parameters()) for block in self.blocks]

    @property
    def outside_bytes(self) -> int:
        """Bytes of what stays in memory throughout."""
        return outside_bytes(self.skeleton)

    def load(self, layers: Sequence[int]) -> None:
        """Read the weights of some blocks into the memory of the device, unless they are there.

        Another thread may do this while the device computes with other blocks: also the copies to an accelerator go on
        beside it.
        """
        absent, to = [layer for layer in layers if layer not in self.present], self._uploads
        names = [name for layer in absent for name in self._plan.of_block[layer]]
        self._plan.load(names, torch.device("cpu") if to.overlaps else self.device)
        for layer in absent:
            self._whole(f"in block {layer}", dict(self.blocks[layer].named_parameters()))
        if to.overlaps:
            to.move(module for layer in absent for module in self.blocks[layer].modules())
        self.present |= set(absent)

    def free(self, layers: Iterable[int]) -> None:
        """Free the weights of some blocks."""
        for layer in layers:
            self.present.discard(layer)
            for module in self.blocks[layer].modules():
                for name, weight in module._parameters.items():
                    if weight is not None:
                        module._parameters[name] = nn.Parameter(weight.to("meta"), requires_grad=False)

    @contextmanager
    def only(self, layers: Sequence[int]) -> Iterator[Skeleton]:
        """Restrict the model to some blocks, which must be in memory; the others return the stream unchanged."""
        chosen = [self.blocks[layer] for layer in layers]
        skipped = [block for layer, block in enumerate(self.blocks) if layer not in set(layers)]
        handle = chosen[0].register_forward_hook(self._note_form)
        try:
            for block in skipped:
                block.forward = self._pass_on  # type: ignore[method-assign]
            yield replace(self.skeleton, blocks=nn.ModuleList(chosen))
        finally:
            handle.remove()
            for block in skipped:
                del block.forward

    def _note_form(self, module: nn.Module, args: Any, output: Any) -> None:
        self._returned = len(output) if isinstance(output, tuple) else None

    def _pass_on(self, *args: Any, **kwargs: Any) -> Any:
        """Replace a block that is not in memory: return the stream unchanged, in the form that blocks return."""
        hidden = hidden_of(args, kwargs)
        return hidden if self._returned is None else (hidden, *[None] * (self._returned - 1))

    @cached_property
    def kinds(self) -> list[int]:
        """For each layer, the first layer with the same class, parameter shapes and per-layer config entries."""
        lists = [v for v in vars(self.skeleton.config).values() if _by_layer(v, len(self.blocks))]
        seen: dict[Any, int] = {}
        first: list[int] = []
        for layer, block in enumerate(self.blocks):
            shapes = tuple((name, tuple(p.shape)) for name, p in block.named_parameters())
            kind = (type(block), shapes, repr([v[layer] for v in lists]))
            first.append(seen.setdefault(kind, layer))
        return first

    @property
    def sample(self) -> list[int]:
        """One layer of each kind, at most four; the identities are checked on these before the sweep."""
        return sorted(set(self.kinds))[:_MOST_KINDS]

    def extend(self, anatomy: Anatomy) -> Anatomy:
        """Return the anatomy of all blocks: each is read like the sampled block of its kind."""
        at = {layer: i for i, layer in enumerate(self.sample)}
        sublayers = {
            c: tuple(self._alike(of_sample[at.get(kind, 0)], layer) for layer, kind in enumerate(self.kinds))
            for c, of_sample in anatomy.sublayers.items()
        }
        return replace(anatomy, skeleton=self.skeleton, sublayers=sublayers)

    def _alike(self, contribution: Contribution, layer: int) -> Contribution:
        block = self.blocks[layer]
        taps, sources = (
            tuple(replace(tap, module=block.get_submodule(tap.name)) for tap in group)
            for group in (contribution.taps, contribution.sources)
        )
        return replace(contribution, taps=taps, sources=sources)

    def _whole(self, where: str, parameters: dict[str, Tensor]) -> None:
        absent = [name for name, weight in parameters.items() if weight.device.type == "meta"]
        if absent:
            raise ModelError(
                f"the checkpoint has no weights for {absent[0]} {where}",
                "a checkpoint with every weight under the names that transformers knows",
                "use --weights resident, or check the download",
            )


def _by_layer(value: Any, depth: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == depth


def _outside(skeleton: Skeleton) -> dict[str, Tensor]:
    """Return the parameters outside the blocks: those of the decoder, the unembedding and the heads."""
    inside = {id(p) for p in skeleton.blocks.parameters()}
    parts = [("", skeleton.decoder), ("unembedding.", skeleton.unembedding), *(("head.", h) for h in skeleton.heads)]
    by_id = {id(p): (prefix + name, p) for prefix, module in parts for name, p in module.named_parameters()}
    return {name: p for key, (name, p) in by_id.items() if key not in inside}


def outside_bytes(skeleton: Skeleton) -> int:
    """Return the bytes of the parameters outside the blocks; shared parameters count once."""
    return sum(p.numel() * p.element_size() for p in _outside(skeleton).values())


class _LoadPlan:
    """Which tensors of a checkpoint belong to which block, and transformers' loader for them.

    `missing` are the model's names that the checkpoint lacks; tied weights may fill them. `beside` maps each other
    module of a multimodal model, which text may not need, to its tensors. Raises ModelError if a tensor is missing,
    unused or misshapen.
    """

    def __init__(self, model: Any, skeleton: Skeleton, checkpoint: Checkpoint, dtype: torch.dtype) -> None:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.modeling_utils import LoadStateDictConfig

        self._model, self._checkpoint = model, checkpoint
        mapping = get_model_conversion_mapping(model)
        self._config = LoadStateDictConfig(dtype=dtype, dtype_plan=model._get_dtype_plan(dtype), weight_mapping=mapping)
        ledger = account(model, checkpoint, mapping)
        demand_account(str(checkpoint.folder), model, ledger)
        demand_floats(str(checkpoint.folder), checkpoint, ledger.target_of, model.state_dict())
        self.harmless = ledger.harmless
        self.missing = set(model.state_dict()) - set(ledger.target_of.values())
        prefix = next(name for name, module in model.named_modules() if module is skeleton.blocks) + "."
        self.of_block: list[list[str]] = [[] for _ in skeleton.blocks]
        self.outside: list[str] = []
        self.beside: dict[str, list[str]] = {part: [] for part in parts_beside(model, skeleton)}
        kept = {id(module) for module in (skeleton.decoder, skeleton.unembedding, *skeleton.heads)}
        wanted = {name for name, module in model.named_modules() if id(module) in kept}
        for name, target in ledger.target_of.items():
            if target.startswith(prefix):
                self.of_block[int(target[len(prefix) :].split(".")[0])].append(name)
            elif any(target.startswith(f"{module}.") for module in wanted):
                self.outside.append(name)
            elif (part := next((part for part in self.beside if target.startswith(f"{part}.")), None)) is not None:
                self.beside[part].append(name)

    def load(self, names: Sequence[str], device: torch.device) -> None:
        """Read tensors into the model, into the memory of a device."""
        from transformers.core_model_loading import convert_and_load_state_dict_in_model

        if not names:
            return
        with quiet(), self._checkpoint.tensors(names) as slices:
            config = replace(self._config, device_map={"": device})
            info, _ = convert_and_load_state_dict_in_model(self._model, slices, config)
        if info.conversion_errors or info.error_msgs or info.mismatched_keys or info.unexpected_keys:
            trouble = [*info.error_msgs, *map(str, info.conversion_errors), *map(str, info.mismatched_keys)]
            first = [*trouble, *info.unexpected_keys][0]
            raise ModelError(f"weights do not fit the model: {first}", "a checkpoint of this architecture")
