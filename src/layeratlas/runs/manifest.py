"""Read `run.json` and check the fields that readers of finished runs rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from layeratlas.core.checksums import read_vouched
from layeratlas.core.errors import StoreError

MANIFEST = "run.json"
# The two tables that every run has.
CURVES, FINDINGS = "curves.parquet", "findings.parquet"
# Where a run keeps what its end prints.
SUMMARY = "summary"
RERUN = "run the study again with the same --out, which recomputes it"


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Model(_Part):
    name: str = ""
    family: str = ""
    parameters: float | None = None
    layers: int | None = None
    width: int | None = None
    files: dict[str, str] | None = None


class _ModelSpec(_Part):
    id: str


class _Capture(_Part):
    position: str = "last"


class _Spec(_Part):
    study: str
    size: str
    seed: int = 0
    tasks: list[str] = []
    data: list[str] = []
    model: _ModelSpec
    capture: _Capture = _Capture()
    probe: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class _Stage(_Part):
    seconds: float = 0.0
    sha256: dict[str, str] = {}


class _Defaults(_Part):
    probe: dict[str, Any] = {}


class _Manifest(_Part):
    status: str = ""
    spec: _Spec
    model: _Model
    stages: dict[str, _Stage] = {}
    words: dict[str, dict[str, str]] = {}
    defaults: _Defaults = _Defaults()
    datasets: list[dict[str, Any]] = []
    fewer_shots: dict[str, int] = {}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a run's manifest; raises StoreError if it is missing, damaged or of another format."""
    if not (folder / MANIFEST).exists() and (inside := sorted(folder.glob(f"*/{MANIFEST}"))):
        raise StoreError(
            f"'{folder}' holds {len(inside)} run{'s' * (len(inside) > 1)} and is none itself",
            "the folder of a run",
            f"name one of them, such as '{inside[0].parent}'",
        )
    manifest = read_vouched(folder / MANIFEST, RERUN)
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = f"'{folder / MANIFEST}' is not a manifest of this version ({place!a}: {first['msg']})"
        raise StoreError(problem, "a run's manifest", RERUN) from None
    return manifest
