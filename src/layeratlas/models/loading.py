"""Load a model from a spec and run its self-tests; every failure is a one-line error."""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec
from layeratlas.models.accounting import account_of, demand_account, demand_complete, demand_used
from layeratlas.models.adapters import check_adapter, merged
from layeratlas.models.chat import Chat
from layeratlas.models.checkpoint import Checkpoint
from layeratlas.models.devices import find_device, settled
from layeratlas.models.empty import check_vocabulary, empty_model, with_kernel
from layeratlas.models.gguf_cache import Unpacked, dense, unpack
from layeratlas.models.gguf_config import read_gguf_config
from layeratlas.models.gguf_tensors import demand_gguf
from layeratlas.models.hub import check_hub
from layeratlas.models.info import describe, hashes_of
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.memory import budget
from layeratlas.models.placing import find_weights, is_quantised, is_streamed, quantisation_config
from layeratlas.models.precision import dtype_of
from layeratlas.models.proof_cache import proof_key
from layeratlas.models.proving import prove
from layeratlas.models.quiet import quiet
from layeratlas.models.refusals import explained
from layeratlas.models.remote_loading import check_remote, read_remotely
from layeratlas.models.rotary import context_of
from layeratlas.models.scales import demand_floats, demand_scales
from layeratlas.models.sources import Source, source_of
from layeratlas.models.spreading import check_spread, demand_shared, spread, whole_modules
from layeratlas.models.streamed import Streamer, build_empty
from layeratlas.models.team import demand_plain, opened
from layeratlas.models.tokenizing import read_tokenizer
from layeratlas.models.unloaded import PLACE, common_of
from layeratlas.models.wrappers import auto_class


def load(spec: ModelSpec, progress: Progress | None = None, anew: bool = False) -> LoadedModel:
    """Load a causal language model, find its anatomy and run its self-tests.

    Weights are read from safetensors or GGUF, never from pickle. Code from the hub runs only with `trust_remote_code`.
    Nothing prompts for input. Self-tests that passed before with the same files, versions and machine are skipped
    unless `anew`. Close a model that is spread over processes, best by `with load(...) as model`. Raises ModelError, in
    one line, if the model cannot be loaded safely or is not a causal language model; IdentityError if a self-test
    fails.
    """
    spec = settled(spec)
    check_spread(spec)
    if spec.parallel == 1:
        demand_plain(spec)
        return load_share(spec, progress, anew)
    with opened(spec) as team:
        loaded = dataclasses.replace(load_share(spec, progress, anew), team=team)
    return loaded


def load_share(spec: ModelSpec, progress: Progress | None = None, anew: bool = False) -> LoadedModel:
    """Load this process's share of a model, which is all of it unless it is spread over processes."""
    progress = progress or Progress()
    source = source_of(spec)
    check_remote(spec, source)
    with progress.stage(f"load {source.name}", 3) as step, quiet():
        with explained(spec):
            unpacked = unpack(source, progress, anew) if source.kind == "gguf" else None
            step.advance()
            where: dict[str, Any] = dict(unpacked.where) if unpacked else {PLACE: source.place}
            if source.kind == "hub":
                where["local_files_only"] = check_hub(source.place, spec.revision)
            common = common_of(spec, where)  # refuses other models before their weights are fetched
            tokenizer = read_tokenizer(spec, common)
            if spec.weights == "remote":
                parts = _Parts(model=_without_weights(spec, common, progress), device=torch.device("cpu"))
            else:
                files = find_weights(source, spec, where)
                check_adapter(None if files is None else files.folder, spec)
                room = budget(spec.memory, find_device(spec.device)) * spec.parallel
                if spec.adapter is None and files is not None and is_streamed(spec, files, room):
                    parts = _read_streamed(spec, common, files, progress)
                else:
                    parts = _read(spec, common, files, progress)
            check_vocabulary(spec, parts.model, tokenizer)
            step.advance()
            if spec.weights == "remote":
                loaded = read_remotely(spec, source, parts.model, tokenizer)
            else:
                loaded = _examined(spec, source, unpacked, parts, tokenizer, anew)
        step.advance()
    return loaded


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Parts:
    model: Any
    device: torch.device
    streamer: Streamer | None = None
    harmless: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def _without_weights(spec: ModelSpec, common: dict[str, Any], progress: Progress) -> Any:
    from transformers import AutoConfig

    return empty_model(spec, AutoConfig.from_pretrained(**common), progress)


def _read_streamed(spec: ModelSpec, common: dict[str, Any], files: Checkpoint, progress: Progress) -> _Parts:
    """Return the model with only the weights outside its blocks in memory."""
    device, model = find_device(spec.device), _without_weights(spec, common, progress)
    streamer = Streamer(model, files, device, dtype_of(spec.dtype))
    return _Parts(
        model=model,
        device=device,
        streamer=streamer,
        harmless=streamer.harmless,
        beside=tuple(files.beside),
    )


def _read(spec: ModelSpec, common: dict[str, Any], files: Checkpoint | None, progress: Progress) -> _Parts:
    device = find_device(spec.device)
    if files is not None and is_quantised(files.folder):
        demand_scales(spec.id, files, quantisation_config(files.folder))
    model, report = with_kernel(spec, progress, lambda attention: _weights(common, spec, attention))
    demand_shared(spec, model)
    harmless: tuple[str, ...] = ()
    demand_complete(spec.id, model, [*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])])
    if files is None or is_quantised(files.folder):
        demand_used(spec.id, model, report["unexpected_keys"])
    else:
        ledger = account_of(model, files)
        demand_account(spec.id, model, ledger)
        demand_floats(spec.id, files, ledger.target_of, model.state_dict())
        harmless = ledger.harmless
    if "gguf_file" in common:
        demand_gguf(Path(common[PLACE]) / common["gguf_file"], model)
    placed = model if spec.parallel > 1 else merged(model, spec).to(device)
    model = placed.eval().requires_grad_(False)
    beside = tuple(files.beside) if files is not None else ()
    return _Parts(model=model, device=model.device, harmless=harmless, beside=beside)


def _weights(common: dict[str, Any], spec: ModelSpec, attention: str) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoConfig

    if "gguf_file" in common:
        config = read_gguf_config(Path(common[PLACE]) / common["gguf_file"])
        safe: dict[str, Any] = {"config": config, **dense()}
    else:
        config, safe = AutoConfig.from_pretrained(**common), {"use_safetensors": True}
    if spec.parallel > 1:
        bare = build_empty(deepcopy(config), dtype_of(spec.dtype), attention, spec.trust_remote_code)
        safe |= spread(config, whole_modules(bare), spec)
    loaded: tuple[Any, dict[str, Any]] = auto_class(config).from_pretrained(
        **common, **safe, dtype=dtype_of(spec.dtype), attn_implementation=attention, output_loading_info=True
    )
    return loaded


def _examined(
    spec: ModelSpec, source: Source, unpacked: Unpacked | None, parts: _Parts, tokenizer: Any, anew: bool
) -> LoadedModel:
    model, device, streamer = parts.model, parts.device, parts.streamer
    config = model.config.get_text_config()
    context = context_of(config)
    chat = Chat(tokenizer, spec) if spec.chat else None
    bare = LoadedModel(model, tokenizer, None, spec, device, context, chat=chat)  # type: ignore[arg-type]
    made_from = hashes_of(source, unpacked, bare, anew)
    if streamer is None:
        proved = prove(bare, None, key=None if anew else proof_key(bare, made_from))
        anatomy = proved.anatomy
    else:
        streamer.load(streamer.sample)
        with streamer.only(streamer.sample) as skeleton:
            proved = prove(bare, skeleton, streamer.load_part)
        anatomy = streamer.extend(proved.anatomy)
    loaded = dataclasses.replace(bare, anatomy=anatomy, streamer=streamer)
    info = describe(loaded, source, unpacked, made_from)
    return dataclasses.replace(
        loaded,
        info={
            **info,
            "tensors_not_used": list(parts.harmless),
            "files_not_read": list(parts.beside),
            "left_out": [dataclasses.asdict(part) for part in proved.left_out],
            "anatomy": proved.words,
            "proved": "at an earlier load of the same files" if proved.earlier else "at this load",
            "identities": [identity.record() for identity in proved.identities],
        },
    )
