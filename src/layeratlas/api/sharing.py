"""A finished run as a folder to publish: tables, report, figures and a dataset card of the Hugging Face hub."""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Callable
from glob import escape
from pathlib import Path

import polars as pl

from layeratlas.api.folders import check_new, figures, folder_beside, report, study_of, written_whole
from layeratlas.api.public import SHARED, given_names, has_own_texts, is_published, public_manifest, shortened
from layeratlas.api.results import Run
from layeratlas.core.checksums import digest_of, write_sealed
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import write_atomic
from layeratlas.runs.finished import REPORT
from layeratlas.runs.manifest import CURVES, FINDINGS, MANIFEST
from layeratlas.runs.published import Published
from layeratlas.runs.recommendation import ALL

CARD = "README.md"
_PLACEHOLDER = "OWNER/NAME"
_EXAMPLE = re.compile(r"hf://datasets/[^/\s]+/[^/\s]+/")
_MAP_WIDTH = 78
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

The layers of `{model}`, measured by Layer Atlas. The report is `report.html`.

```
{summary}
```

```python
import polars as pl

curves = pl.read_parquet("hf://datasets/{name}/{curves}")
```

A downloaded copy opens with `layeratlas.load(FOLDER)`; `layeratlas compare` compares it with runs of other models.

{contents}

Versions: {versions}.
"""


def share(
    run: Run | str | Path, out: str | Path | None = None, *, texts: bool = False, upload: str | None = None
) -> Path:
    """Write a finished run as a folder to publish and return its path, by default RUN-shared.

    It has the tables with their checksums, `run.json`, report, figures and a dataset card, and opens with
    `layeratlas.load`. Vectors and log-probabilities are left out. Without `texts`, a run on your own texts is published
    as numbers and names: no text, label, prompt of a chat, or answer that the model wrote. Paths of local files become
    their names. `upload` is a dataset of the Hugging Face hub (OWNER/NAME) to which the folder is uploaded, created as
    private if it is new; without it nothing is uploaded. After a failed upload the same call uploads the folder that is
    there. Raises StoreError if `out` is not empty, a file is damaged or the upload fails, SpecError if the hub's client
    is not installed, or for a shared copy.
    """
    run = run if isinstance(run, Run) else Run(run)
    if SHARED in run.manifest:
        raise SpecError(f"'{run.folder}' is a shared copy", "the folder of the run itself", "share the run")
    if upload is not None:
        _check_name(upload)
    target = folder_beside(run.folder, out, "shared")
    if upload is None or not _is_shared_already(run, target, texts):
        check_new(target)
        _write(run, target, texts, upload or _PLACEHOLDER)
    if upload is not None:
        _upload(target, upload)
    return target


def _is_shared_already(run: Run, target: Path, texts: bool) -> bool:
    """Return whether a folder is this run as an earlier call shared it; raises StoreError if it is damaged."""
    if not (target / CARD).is_file() or not (target / MANIFEST).is_file():
        return False
    shared = Run(target)
    if shared.manifest.get(SHARED) != {"texts": texts} or shared.manifest.get("key") != run.manifest.get("key"):
        return False
    shared.verify(shared.output_names)
    return True


def _write(run: Run, target: Path, texts: bool, name: str) -> None:
    """Write the folder beside its place and move it there when it is whole."""
    study = study_of(run)
    published = study.published if study else Published()
    with_texts = texts or not has_own_texts(run.manifest, published)
    kept = [file for file in run.output_names if is_published(file, published, with_texts)]
    run.verify(kept)
    short = shortened(run.manifest, published)
    with written_whole(target) as part:
        for file in kept:
            write_atomic(part / file, _without_paths((run.folder / file).read_bytes(), file, short))
        manifest = public_manifest(run.manifest, published, texts=texts)
        for stage in manifest["stages"].values():
            stage["sha256"] = {file: digest_of(part / file) for file in stage.get("sha256", {}) if file in kept}
            stage["outputs"] = [file for file in stage.get("outputs", []) if file in stage["sha256"]]
        write_sealed(part / MANIFEST, manifest)
        report(part)
        figures(part)
        write_atomic(part / CARD, card_of(Run(part), name).encode())


def _without_paths(data: bytes, name: str, short: Callable[[str], str]) -> bytes:
    """Return a file with the paths of local files in the cells of a table of texts replaced by their names."""
    if not name.startswith("items/"):
        return data
    table = pl.read_parquet(io.BytesIO(data))
    named = [column for column, dtype in table.schema.items() if dtype == pl.String]
    cells = table.with_columns(
        pl.Series(column, [c and short(c) for c in table[column]], pl.String) for column in named
    )
    written = io.BytesIO()
    cells.write_parquet(written)
    return data if cells.equals(table) else written.getvalue()


def shared_contents(folder: str | Path) -> str:
    """Return in words what a shared folder holds: its files, whether texts are among them, and the user's names."""
    run = Run(folder)
    study = study_of(run)
    published = study.published if study else Published()
    own = has_own_texts(run.manifest, published)
    if run.manifest.get(SHARED, {}).get("texts"):
        texts = "The user's texts, labels and prompts are included."
    elif own:
        texts = "The texts themselves are not included, nor labels, prompts and answers that the model wrote."
    else:
        texts = "All texts are those of built-in tasks."
    names = dict.fromkeys([run.model, *given_names(run.manifest, published), *(_names(run) if own else [])])
    return "\n".join(
        [
            f"Files: {', '.join(_files(run.folder))}.",
            texts,
            f"Names that can be read in it: {', '.join(names)}.",
        ]
    )


def _files(folder: Path) -> list[str]:
    """Return the files of a shared folder, and the number of files in each folder of it."""
    top = sorted({CARD, *(path.name for path in folder.iterdir() if path.is_file())})
    below = [(path.name, sum(1 for _ in path.iterdir())) for path in sorted(folder.iterdir()) if path.is_dir()]
    return [*top, *(f"{name}/ ({count})" for name, count in below)]


def _names(run: Run) -> list[str]:
    """Return the names of a run's data sets, levels, languages, strata and kinds of passages."""
    datasets = run.manifest.get("datasets", [])
    named = [str(data[field]) for data in datasets for field in ("name", "level", "language") if data.get(field)]
    strata = run.curves["stratum"].unique(maintain_order=True).to_list() if "stratum" in run.curves.columns else []
    kinds = run.manifest.get("segments", {}).get("characters_per_token", {})
    return [name for name in [*named, *strata, *kinds] if name != ALL]


def card_of(run: Run, name: str) -> str:
    """Return a run's dataset card; `name` is the data set's name on the hub."""
    spec = run.manifest["spec"]
    title = f"Layer Atlas: {run.study} of {run.model}, size {run.size}"
    return _CARD.format(
        title=title,
        quoted=json.dumps(title),
        model=spec["model"]["id"],
        contents=shared_contents(run.folder),
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


def _listed(folder: Path) -> list[str]:
    """Return the files that a share writes, without anything that was put beside them since."""
    drawn = [path.relative_to(folder).as_posix() for path in sorted((folder / "figures").glob("[!.]*"))]
    return [MANIFEST, CARD, REPORT, *drawn, *Run(folder).output_names]


def _upload(folder: Path, name: str) -> None:
    """Upload what a share wrote to a data set of the hub; the card's example names that data set."""
    try:
        client = importlib.import_module("huggingface_hub").HfApi()
    except ImportError as error:
        raise SpecError("an upload needs the package 'huggingface_hub'", "", "pip install huggingface_hub") from error
    card = (folder / CARD).read_text(encoding="utf-8")
    write_atomic(folder / CARD, _EXAMPLE.sub(f"hf://datasets/{name}/", card).encode())
    try:
        client.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        client.upload_folder(
            repo_id=name, repo_type="dataset", folder_path=str(folder), allow_patterns=[*map(escape, _listed(folder))]
        )
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        problem = f"'{folder}' was written, but not uploaded to '{name}' ({reason})"
        raise StoreError(problem, "", "log in with `hf auth login`, or check the name or the network") from error
