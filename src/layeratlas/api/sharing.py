"""A finished run as a folder to publish: tables, report, figures and a dataset card of the Hugging Face hub."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layeratlas.api.folders import new_folder, report
from layeratlas.api.results import Run
from layeratlas.core.checksums import write_sealed
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import write_atomic
from layeratlas.runs.manifest import MANIFEST
from layeratlas.runs.tables import CURVES, FINDINGS

CARD = "README.md"
# Folders of a run that are published with the tables. Vectors and log-probabilities are large and can be recomputed.
_FOLDERS = ("items", "scores")
# Files and folders with the user's texts, or with texts derived from these.
_TEXTS = ("items/", "generated_texts.parquet")
_MAP_WIDTH = 78
_WITHOUT_TEXTS = " The texts themselves are not included."
_CARD = """---
tags: [layeratlas, interpretability, probing, language-models]
pretty_name: {quoted}
configs:
- config_name: curves
  data_files: {curves}
- config_name: findings
  data_files: {findings}
---
# {title}

What the layers of `{model}` encode, measured by Layer Atlas.{without} The report is `report.html`.

```
{summary}
```

```python
import polars as pl

curves = pl.read_parquet("hf://datasets/{name}/{curves}")
```

A downloaded copy opens with `layeratlas.load(FOLDER)`; `layeratlas compare` compares it with runs of other models.

Versions: {versions}.
"""


def share(
    run: Run | str | Path, out: str | Path | None = None, *, texts: bool = False, upload: str | None = None
) -> Path:
    """Write a finished run as a folder to publish and return its path, by default RUN-shared.

    It has the tables with their checksums, `run.json`, report, figures and a dataset card, and opens with
    `layeratlas.load`. Vectors and log-probabilities are left out. Without `texts`, texts from your own files are left
    out, and so are their paths and the example of a chat. `upload` is a dataset of the Hugging Face hub (OWNER/NAME) to
    which the folder is uploaded, created as private if it is new; without it nothing is uploaded. Raises StoreError if
    `out` is not empty or the upload fails, SpecError if the hub's client is not installed.
    """
    run = run if isinstance(run, Run) else Run(run)
    if upload is not None:
        _check_name(upload)
    target = new_folder(out, run.folder, "shared")
    run.verify()
    kept = [name for name in run.output_names if _is_published(name, texts or not run.manifest["spec"].get("data"))]
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in kept:
        write_atomic(part / name, (run.folder / name).read_bytes())
    write_sealed(part / MANIFEST, public_manifest(run.manifest, kept, texts=texts))
    report(part)
    card = card_of(Run(part), upload or "OWNER/NAME")
    write_atomic(part / CARD, card.encode())
    part.replace(target)
    if upload is not None:
        _upload(target, upload)
    return target


def _is_published(name: str, texts: bool) -> bool:
    folder = name.partition("/")[0] if "/" in name else ""
    return (not folder or folder in _FOLDERS) and (texts or not name.startswith(_TEXTS))


def public_manifest(manifest: Mapping[str, Any], kept: list[str], *, texts: bool) -> dict[str, Any]:
    """Return a manifest that lists only the `kept` files, with paths of local files replaced by their names.

    Without `texts` it quotes no text: the example of a chat and the rows that were left out are removed.
    """
    paths = [*manifest["spec"].get("data", []), *filter(None, _model_paths(manifest))]
    written = json.dumps(manifest)
    for path in sorted({path for path in paths if Path(path).name != path}, key=len, reverse=True):
        written = written.replace(json.dumps(path)[1:-1], json.dumps(Path(path).name)[1:-1])
    public: dict[str, Any] = json.loads(written)
    for stage in public["stages"].values():
        stage["sha256"] = {name: digest for name, digest in stage.get("sha256", {}).items() if name in kept}
        stage["outputs"] = [name for name in stage.get("outputs", []) if name in stage["sha256"]]
    if not texts:
        public.pop("chat_example", None)
        public["unfit"] = {**public.get("unfit", {}), "rows": {}}
        public["dropped"] = {name: {**file, "rows": []} for name, file in public.get("dropped", {}).items()}
    return public


def _model_paths(manifest: Mapping[str, Any]) -> list[str | None]:
    """Return the paths of the model and its adapter if they are local; hub names have no existing folder here."""
    spec = manifest["spec"]["model"]
    named = [spec.get("id"), spec.get("adapter")]
    local = manifest["model"].get("source") in ("directory", "gguf")
    return [path for path in named if path and (local or Path(path).exists())]


def card_of(run: Run, name: str) -> str:
    """Return a run's dataset card; `name` is the data set's name on the hub."""
    spec = run.manifest["spec"]
    title = f"Layer Atlas: {run.study} of {run.model}, size {run.size}"
    return _CARD.format(
        title=title,
        quoted=json.dumps(title),
        model=spec["model"]["id"],
        without="" if (run.folder / "items").exists() or not spec.get("data") else _WITHOUT_TEXTS,
        summary=run.summary(_MAP_WIDTH).removesuffix(":"),
        curves=CURVES,
        findings=FINDINGS,
        name=name,
        versions=", ".join(f"{key} {value}" for key, value in run.manifest.get("versions", {}).items()),
    )


def _check_name(name: str) -> None:
    owner, mark, rest = name.partition("/")
    if not (owner and mark and rest) or "/" in rest:
        raise SpecError(f"the data set is {name!r}", "OWNER/NAME on the Hugging Face hub")


def _upload(folder: Path, name: str) -> None:
    try:
        client = importlib.import_module("huggingface_hub").HfApi()
    except ImportError as error:
        raise SpecError("an upload needs the package 'huggingface_hub'", "", "pip install huggingface_hub") from error
    try:
        client.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        client.upload_folder(repo_id=name, repo_type="dataset", folder_path=str(folder))
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        problem = f"'{folder}' was written, but not uploaded to '{name}' ({reason})"
        raise StoreError(problem, "", "log in with `hf auth login`, or check the name or the network") from error
