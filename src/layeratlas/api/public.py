"""The allow-list of what a shared run holds: which files, and which places of `run.json`.

Numbers are published where their record is; a string is published only at a place that is listed here, or that the
study lists in `Published`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from layeratlas.core.checksums import SEAL
from layeratlas.runs.draws import FILE as DRAWS
from layeratlas.runs.layer_order import LAYER_ORDER
from layeratlas.runs.manifest import CURVES, FINDINGS
from layeratlas.runs.published import Published
from layeratlas.runs.recommendation import FILE as RECOMMENDATIONS

NOT_SHARED = "not shared"
# The key in `run.json` of a shared run: whether it holds texts.
SHARED = "shared"
_FILES = frozenset({CURVES, FINDINGS, DRAWS, LAYER_ORDER, RECOMMENDATIONS})
_SCORES = "scores/*.safetensors"
_WITH_TEXTS = ("items/*.parquet",)
_RECORDS = """
    format status key started spec spec_hash model versions machine seeds texts datasets stages words sampled dropped
    defaults unfit capture branching recomputed precision
"""
_WORDS = """
    status key started spec_hash texts branching versions.* machine.* words.*.* defaults.probe.methods.*
    capture.packing capture.why capture.components.* recomputed.unit recomputed.where
    precision.products precision.unit precision.where precision.why
    stages.*.outputs.* stages.*.sha256.* datasets.*.name datasets.*.level datasets.*.kind
    spec.study spec.size spec.tasks.* spec.bad_rows spec.label_kind spec.probe.methods.*
    spec.capture.components.* spec.capture.position spec.capture.dtype spec.capture.packing spec.capture.precision
    spec.model.revision spec.model.dtype spec.model.attention spec.model.device spec.model.bos spec.model.chat_template
    model.name model.source model.class model.family model.revision model.dtype model.attention model.device
    model.weights model.bos model.eos model.tokenizer_hash model.quantisation model.proved model.files.* model.anatomy
    model.anatomy.* model.tensors_not_used.* model.left_out.* model.checkpoint.* model.chat.template_sha256
    model.chat.date model.identities.*.name model.identities.*.detail
"""
_QUOTES = ("unfit.sets.*",)
_PATHS = ("spec.data.*", "spec.model.adapter")
# The user's own words to a model in a chat: their hash still tells whether two runs used the same.
_PROMPTS = ("spec.model.system", "spec.model.chat_options.**", "model.chat.system", "model.chat.options.**")
_MODEL_IDS = ("spec.model.id", "model.id")
# Home where it is a whole path or the beginning of one: not of `HOMEs` or `/x/HOME`.
_AT_HOME = r"(?<![\w.-]){}(?![\w-])(?!\.\w)"

Place = tuple[str, ...]


def has_own_texts(manifest: Mapping[str, Any], published: Published) -> bool:
    """Return whether a run read texts of the user's: a file, a system prompt or a string for the chat template."""
    places = [*_PATHS[:1], *_PROMPTS[:2], *(path for path in published.paths if path.startswith("spec."))]
    return any(text for place, text in strings(manifest) if _listed(place, places))


def is_published(name: str, published: Published, texts: bool) -> bool:
    """Return whether a file of a run's folder is published; `texts` tells whether files that hold texts are."""
    of_texts = any(fnmatchcase(name, pattern) for pattern in (*_WITH_TEXTS, *published.with_texts))
    if of_texts:
        return texts
    return name in _FILES | published.files or fnmatchcase(name, _SCORES)


def public_manifest(manifest: Mapping[str, Any], published: Published, *, texts: bool) -> dict[str, Any]:
    """Return what of a manifest is published; paths of local files become their names.

    With `texts` that is all else. Without it, labels become `class 1`, `class 2`, ..., and neither examples nor rows
    that were left out nor any string whose place is not listed is published; prompts of a chat are replaced by a hash.
    """
    short = shortened(manifest, published)
    if texts:
        everything = {key: value for key, value in manifest.items() if key != SEAL}
        return {**_mapped(everything, lambda place, text: short(text)), SHARED: {"texts": True}}
    own = has_own_texts(manifest, published)
    words = (*_WORDS.split(), *published.words)
    quotes = () if own else (*_QUOTES, *published.quotes)
    names = (*_PATHS, *published.paths, *_MODEL_IDS)

    def allowed(place: Place, text: str) -> str:
        if _listed(place, (*words, *quotes, *names)):
            return short(text)
        hashed = _listed(place, _PROMPTS)
        return f"{NOT_SHARED}, SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:16]}" if hashed else NOT_SHARED

    public = _mapped(
        {key: manifest[key] for key in manifest if key in {*_RECORDS.split(), *published.records}}, allowed
    )
    public["unfit"] = {**public.get("unfit", {}), "rows": {}}
    public["dropped"] = {name: {**file, "rows": []} for name, file in public.get("dropped", {}).items()}
    if own:
        public["datasets"] = [_without_labels(data) for data in public.get("datasets", [])]
    else:
        public["datasets"] = manifest.get("datasets", [])
    return {**public, SHARED: {"texts": False}}


def shortened(manifest: Mapping[str, Any], published: Published) -> Callable[[str], str]:
    """Return a function that replaces, in a text, the paths of a run's local files by their names, and home by `~`."""
    local = manifest["model"].get("source") in ("directory", "gguf")
    places = (*_PATHS, *published.paths, *(_MODEL_IDS if local else ()))
    home = str(Path.home())
    names = {home: "~"} if len(Path(home).parts) > 1 else {}
    for path in {text for place, text in strings(manifest) if _listed(place, places)}:
        if len(Path(path).parts) > 1 and not path.startswith("hub:"):
            here = Path(path).expanduser()
            bare = here.with_name(here.name.partition("#")[0] or here.name)  # FILE#COLUMN
            names |= {str(form): bare.name for form in (bare, bare.absolute(), bare.resolve())}
            names[path] = here.name

    def short(text: str) -> str:
        for path in sorted(names, key=len, reverse=True):
            text = (
                re.sub(_AT_HOME.format(re.escape(home)), "~", text) if path == home else text.replace(path, names[path])
            )
        return text

    return short


def given_names(manifest: Mapping[str, Any], published: Published) -> list[str]:
    """Return the names of the model and of the user's files that a shared manifest holds, as the user gave them."""
    places = (*_MODEL_IDS, *_PATHS, *published.paths)
    return [text for place, text in strings(manifest) if text and _listed(place, places)]


def strings(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every string of a JSON value with its place, a tuple of keys with `*` for an item of a list."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings(inner, (*place, key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner, (*place, "*"))


def _mapped(value: Any, change: Callable[[Place, str], str], place: Place = ()) -> Any:
    """Return a JSON value with every string changed, keys excepted."""
    if isinstance(value, str):
        return change(place, value)
    if isinstance(value, Mapping):
        return {key: _mapped(inner, change, (*place, key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(inner, change, (*place, "*")) for inner in value]
    return value


def _listed(place: Place, patterns: tuple[str, ...] | list[str]) -> bool:
    return any(_fits(place, pattern) for pattern in patterns)


def _fits(place: Place, pattern: str) -> bool:
    parts = pattern.split(".")
    if parts[-1] == "**":
        return place[: len(parts) - 1] == tuple(parts[:-1])
    return len(parts) == len(place) and all(part in ("*", key) for part, key in zip(parts, place, strict=True))


def _without_labels(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a data set without its labels and its example."""
    classes = {f"class {place}": n for place, n in enumerate(data.get("classes", {}).values(), 1)}
    return {key: value for key, value in data.items() if key not in ("example", "answers")} | {"classes": classes}
