"""From a spec to a loaded model that has passed its self-tests, or one line that says why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec
from layeratlas.models.accounting import account_of, demand_account, demand_complete, demand_used
from layeratlas.models.adapters import check_adapter, merged
from layeratlas.models.chat import Chat
from layeratlas.models.checkpoint import Checkpoint
from layeratlas.models.config import check_config
from layeratlas.models.devices import find_device, settled
from layeratlas.models.gguf_cache import Unpacked, dense, gguf_where, unpack
from layeratlas.models.gguf_config import read_gguf_config
from layeratlas.models.gguf_tensors import demand_gguf
from layeratlas.models.hub import check_hub
from layeratlas.models.info import describe
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.memory import budget
from layeratlas.models.placing import find_weights, is_quantised, is_streamed, quantisation_config
from layeratlas.models.precision import dtype_of
from layeratlas.models.proving import prove
from layeratlas.models.quiet import quiet
from layeratlas.models.refusals import explained
from layeratlas.models.rotary import context_of
from layeratlas.models.scales import demand_floats, demand_scales
from layeratlas.models.sources import Source, find_source
from layeratlas.models.streamed import Streamer, build_empty
from layeratlas.models.team import in_step, spread
from layeratlas.models.tokenizing import settle_bos
from layeratlas.models.wrappers import auto_class


def load(spec: ModelSpec, progress: Progress | None = None) -> LoadedModel:
    """Load a causal language model, find its anatomy and run its self-tests.

    Weights are read from safetensors or GGUF, never from pickle; code from the hub runs only with
    `trust_remote_code`; nothing is asked interactively. Raises ModelError in one line where the model cannot be
    loaded safely or is no causal language model, IdentityError where a self-test breaks.
    """
    progress = progress or Progress()
    spec = settled(spec)
    _check_spread(spec)
    with in_step(spec) as team:
        loaded = _load(spec, progress)
        return loaded if team is None else dataclasses.replace(loaded, team=team)


def _check_spread(spec: ModelSpec) -> None:
    """Refuse, before any process is started, what cannot be spread over processes."""
    if spec.parallel == 1:
        return
    unlike = {"streamed weights": spec.weights == "streamed", "an adapter": spec.adapter is not None}
    source = find_source(spec.id)
    unlike["a .gguf file"] = source.kind == "gguf"
    given = next((name for name, is_given in unlike.items() if is_given), None)
    if given is not None:
        raise ModelError(f"{given} with --parallel {spec.parallel}", "plain weights in memory", "leave out --parallel")
    config, _ = read_config(spec)
    spread(config, [], spec)
    device = find_device(spec.device)
    if device.type != "cpu" and torch.accelerator.device_count() < spec.parallel:
        raise ModelError(
            f"--parallel {spec.parallel} and {torch.accelerator.device_count()} {device.type} devices",
            "a device for each process",
            "choose fewer",
        )


def _load(spec: ModelSpec, progress: Progress) -> LoadedModel:
    device = find_device(spec.device)
    source = find_source(spec.id)
    with progress.stage(f"load {source.name}", 3) as step, quiet():
        with explained(spec):
            unpacked = unpack(source, progress) if source.kind == "gguf" else None
            step.advance()
            where: dict[str, Any] = dict(unpacked.where) if unpacked else {_PLACE: source.place}
            if source.kind == "hub":
                where["local_files_only"] = check_hub(source.place, spec.revision)
            common = _common(spec, where)  # refuses what is no causal language model before its weights are fetched
            files = find_weights(source, spec, where)
            check_adapter(None if files is None else files.folder, spec)
            room = budget(spec.memory, device) * spec.parallel
            if spec.adapter is None and files is not None and is_streamed(spec, files, room):
                parts = _read_empty(spec, common, files, progress)
            else:
                parts = _read(spec, common, files, progress)
            step.advance()
            loaded = _examined(spec, source, unpacked, parts)
        step.advance()
    return loaded


_PLACE = "pretrained_model_name_or_path"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Parts:
    model: Any
    tokenizer: Any
    device: torch.device
    streamer: Streamer | None = None
    harmless: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def _common(spec: ModelSpec, where: dict[str, Any]) -> dict[str, Any]:
    if "gguf_file" not in where:
        check_config(where[_PLACE], spec, bool(where.get("local_files_only")))
    return {**where, "revision": spec.revision, "trust_remote_code": spec.trust_remote_code}


def _read_empty(spec: ModelSpec, common: dict[str, Any], files: Checkpoint, progress: Progress) -> _Parts:
    """Return the model with nothing but what lies outside its blocks in memory, and the tokenizer."""
    from transformers import AutoConfig, AutoTokenizer

    device = find_device(spec.device)
    tokenizer = settle_bos(AutoTokenizer.from_pretrained(**common), spec)
    model = empty_model(spec, AutoConfig.from_pretrained(**common), progress)
    _check_vocabulary(spec, model, tokenizer)
    streamer = Streamer(model, files, device, dtype_of(spec.dtype))
    return _Parts(
        model=model,
        tokenizer=tokenizer,
        device=device,
        streamer=streamer,
        harmless=streamer.harmless,
        beside=tuple(files.beside),
    )


def _read(spec: ModelSpec, common: dict[str, Any], files: Checkpoint | None, progress: Progress) -> _Parts:
    from transformers import AutoTokenizer

    device = find_device(spec.device)
    tokenizer = settle_bos(AutoTokenizer.from_pretrained(**common), spec)
    if files is not None and is_quantised(files.folder):
        demand_scales(spec.id, files, quantisation_config(files.folder))
    model, report = with_kernel(spec, progress, lambda attention: _weights(common, spec, attention))
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
        demand_gguf(Path(common[_PLACE]) / common["gguf_file"], model)
    _check_vocabulary(spec, model, tokenizer)
    placed = model if spec.parallel > 1 else merged(model, spec).to(device)
    model = placed.eval().requires_grad_(False)
    beside = tuple(files.beside) if files is not None else ()
    return _Parts(model=model, tokenizer=tokenizer, device=model.device, harmless=harmless, beside=beside)


def read_config(spec: ModelSpec) -> tuple[Any, Any]:
    """Return a model's config and tokenizer; no weight is read. Raises what `load` raises for them."""
    from transformers import AutoConfig, AutoTokenizer

    source = find_source(spec.id, need_weights=False)
    with quiet(), explained(spec):
        common = _common(spec, gguf_where(Path(source.place)) if source.kind == "gguf" else {_PLACE: source.place})
        tokenizer = settle_bos(AutoTokenizer.from_pretrained(**common), spec)
        if source.kind == "gguf":
            return read_gguf_config(Path(source.place)), tokenizer
        return AutoConfig.from_pretrained(**common), tokenizer


def read_tokenizer(spec: ModelSpec) -> Any:
    """Return a model's tokenizer; no weight is read. Raises what `load` raises for it."""
    from transformers import AutoTokenizer

    source = find_source(spec.id)
    with quiet(), explained(spec):
        where = gguf_where(Path(source.place)) if source.kind == "gguf" else {_PLACE: source.place}
        return AutoTokenizer.from_pretrained(**_common(spec, where))


def template_hash(spec: ModelSpec) -> str:
    """Return the SHA-256 of a model's chat template; no weight is read. Raises ModelError as `Chat` does."""
    return Chat(read_tokenizer(spec), spec).sha256


def empty_model(spec: ModelSpec, config: Any, progress: Progress) -> Any:
    """Return the model of a config in the spec's dtype and attention kernel, without weights."""

    def build(attention: str) -> Any:
        return build_empty(deepcopy(config), dtype_of(spec.dtype), attention, spec.trust_remote_code)

    return with_kernel(spec, progress, build)


def with_kernel(spec: ModelSpec, progress: Progress, make: Callable[[str], Any]) -> Any:
    """Make a model with the spec's attention kernel, or with eager where its family has no other."""
    try:
        return make(spec.attention)
    except ValueError as error:
        # Some families have one kernel only; which one runs is recorded.
        if spec.attention == "eager" or "attention" not in str(error):
            raise
        progress.note(f"{spec.id} has no {spec.attention} attention kernel; using eager")
        return make("eager")


def _check_vocabulary(spec: ModelSpec, model: Any, tokenizer: Any) -> None:
    # Added tokens (a pad, say) may lie beyond the embeddings of a sound model; its base vocabulary may not.
    rows, tokens = model.get_input_embeddings().num_embeddings, tokenizer.vocab_size
    if not 0 < tokens <= rows:
        raise ModelError(
            f"'{spec.id}': the tokenizer has {tokens} tokens, the model embeds {rows}",
            "the tokenizer that the model was trained with",
            "check that tokenizer.json is there and belongs to these weights",
        )


def _weights(common: dict[str, Any], spec: ModelSpec, attention: str) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoConfig

    if "gguf_file" in common:
        config = read_gguf_config(Path(common[_PLACE]) / common["gguf_file"])
        safe: dict[str, Any] = {"config": config, **dense()}
    else:
        config, safe = AutoConfig.from_pretrained(**common), {"use_safetensors": True}
    if spec.parallel > 1:
        bare = build_empty(deepcopy(config), dtype_of(spec.dtype), attention, spec.trust_remote_code)
        safe |= spread(config, _read_whole(bare), spec)
    loaded: tuple[Any, dict[str, Any]] = auto_class(config).from_pretrained(
        **common, **safe, dtype=dtype_of(spec.dtype), attn_implementation=attention, output_loading_info=True
    )
    return loaded


def _read_whole(model: Any) -> list[str]:
    """Return the names of the embeddings and the unembedding."""
    whole = {id(module) for module in (model.get_input_embeddings(), model.get_output_embeddings())}
    return [name for name, module in model.named_modules() if id(module) in whole]


def _examined(spec: ModelSpec, source: Source, unpacked: Unpacked | None, parts: _Parts) -> LoadedModel:
    model, device, streamer = parts.model, parts.device, parts.streamer
    config = model.config.get_text_config()
    context = context_of(config)
    chat = Chat(parts.tokenizer, spec) if spec.chat else None
    bare = LoadedModel(model, parts.tokenizer, None, spec, device, context, chat=chat)  # type: ignore[arg-type]
    if streamer is None:
        proved = prove(bare, None)
        anatomy = proved.anatomy
    else:
        streamer.load(streamer.sample)
        with streamer.only(streamer.sample) as skeleton:
            proved = prove(bare, skeleton, streamer.load_part)
        anatomy = streamer.extend(proved.anatomy)
    loaded = dataclasses.replace(bare, anatomy=anatomy, streamer=streamer)
    info = describe(loaded, source, unpacked)
    return dataclasses.replace(
        loaded,
        info={
            **info,
            "tensors_not_used": list(parts.harmless),
            "files_not_read": list(parts.beside),
            "left_out": [dataclasses.asdict(part) for part in proved.left_out],
            "anatomy": proved.words,
            "identities": [identity.record() for identity in proved.identities],
        },
    )
