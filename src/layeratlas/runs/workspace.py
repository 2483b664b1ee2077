"""A run's folder: its manifest `run.json`, its finished stages, and its model, loaded on demand."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.core.checksums import digest_of, is_sealed, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_object, sweep_parts
from layeratlas.core.processes import peak_memory
from layeratlas.core.progress import Progress
from layeratlas.core.spec import RunSpec
from layeratlas.core.turns import ALONE, Turns
from layeratlas.data.fitting import LeftOut
from layeratlas.runs.identity import key_of, texts_hash, versions
from layeratlas.runs.kept_model import KeptModel
from layeratlas.runs.lock import LOCK

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel

# The advice where the code of a development version has changed.
_NEW_CODE = ", or go back to the code that began it: numbers of a development version may change with its code"
# Outputs that are read again, and need a matching checksum. Pages are not listed, since they may be rebuilt.
_DATA = (".parquet", ".safetensors", ".json")


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as flat keys such as `probe.repeats`, so that a message can name a difference."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": inner}
    return flat


class Workspace:
    """A run folder that belongs to one spec and one set of texts (`material`, of the kind that the study reads).

    `settings` are the study's typed settings (`Study.settings`). `key` is a hash of spec, texts and versions.
    `material` is the data to read, without the rows and sets that do not fit the model (`leave_out`). `texts` in the
    manifest is a hash of it, equal for every model that reads the same data. Raises StoreError if the folder holds
    another run, or one written by other library versions: activations and tables of different origin are never mixed.
    `common` is the folder of parts that several processes may compute in `turns`; in a helper, another process owns it.
    """

    def __init__(
        self, folder: Path, spec: RunSpec, material: Sequence[Any], progress: Progress, settings: Any = None
    ) -> None:
        self.folder, self.spec, self.progress, self.settings = folder, spec, progress, settings
        self._given = list(material)
        self.key = key_of(spec, self._given)
        self.material: list[Any] = self._given
        self.models = KeptModel()
        self.common = folder
        self.turns: Turns = ALONE
        self._resumed = False
        self.manifest: dict[str, Any] = self._opened()
        self.material = self.left_out.of(self._given)

    def _opened(self) -> dict[str, Any]:
        """Return the folder's manifest, or a new one; raises StoreError if the folder belongs to something else.

        A damaged manifest counts as empty: the stages run again, and each reuses its own valid shards.
        """
        path = self.folder / "run.json"
        if not path.exists():
            sweep_parts(self.folder)  # a process killed during the first write leaves only these
            if self.folder.is_dir() and any(path.name != LOCK for path in self.folder.iterdir()):
                raise StoreError(
                    f"'{self.folder}' is not empty and holds no run", "a new or empty folder", "choose another --out"
                )
            return self._begin()
        known = read_object(path)
        if known.get("key", self.key) != self.key:
            return self._replace_or_refuse(known)
        self._resumed = True
        for folder in (self.folder, *filter(Path.is_dir, self.folder.iterdir())):
            sweep_parts(folder)
        if not is_sealed(known):
            self.progress.note(f"'{path}' is damaged: the run is rebuilt from its undamaged parts")
            return self._begin()
        return known

    def _begin(self) -> dict[str, Any]:
        self.manifest = self._new_manifest()
        self.save()
        return self.manifest

    def _replace_or_refuse(self, known: dict[str, Any]) -> dict[str, Any]:
        """Reuse a folder whose run stopped before it stored anything (such as a misspelt model); refuse any other."""
        if _cleared(self.folder, known):
            return self._begin()
        before = _flat({"versions": known.get("versions", {}), **known.get("spec", {})})
        now = _flat({"versions": versions(), **self.spec.model_dump(mode="json")})
        changed = [f"{k} {before.get(k)!r} -> {v!r}" for k, v in now.items() if before.get(k) != v]
        if not is_sealed(known):
            changed = ["its run.json is damaged"]
        code = any(one.startswith("versions.code ") for one in changed)
        raise StoreError(
            f"'{self.folder}' holds another run ({'; '.join(changed) or 'other texts'})",
            "the same spec, texts and library versions to resume",
            f"choose another --out or remove that folder{_NEW_CODE if code else ''}",
        )

    def forget(self) -> None:
        """Remove what this process wrote of a run that could not begin; its folder then counts as new.

        If that is not all that the folder holds, it stays as it is: without `run.json`, no command could use it.
        """
        if not self._resumed and _cleared(self.folder, self.manifest):
            (self.folder / "run.json").unlink(missing_ok=True)

    def _new_manifest(self) -> dict[str, Any]:
        return {
            "format": 1,
            "status": "running",
            "key": self.key,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "spec": self.spec.model_dump(mode="json"),
            "spec_hash": self.spec.content_hash(),
            "model": {},
            "versions": versions(),
            "machine": {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()},
            "seeds": {"run": self.spec.seed},
            "texts": texts_hash(self.material),
            "datasets": [],
            "stages": {},
        }

    @property
    def left_out(self) -> LeftOut:
        """The rows and sets that are left out because they do not fit the model."""
        return LeftOut.from_record(self.manifest.get("unfit", {}))

    def leave_out(self, unfit: LeftOut) -> None:
        """Leave out some rows or sets, and record it; raises DataError if the rest cannot be measured."""
        self.material = unfit.of(self._given)
        self.manifest["unfit"] = unfit.record()
        self.manifest["texts"] = texts_hash(self.material)

    def save(self) -> None:
        """Write `run.json` atomically, with its seal."""
        write_sealed(self.folder / "run.json", self.manifest)

    def finished(self, stage: str) -> bool:
        """Return whether this or an earlier process finished a stage and its outputs are unchanged."""
        record = self.manifest["stages"].get(stage, {})
        outputs = record.get("outputs", [])
        # A name with a suffix is a file, others are folders.
        paths = [self.folder / name for name in outputs]
        complete = all(path.is_file() if path.suffix else path.is_dir() for path in paths)
        return bool(record.get("done")) and complete and self._checksums(outputs) == record.get("sha256")

    @property
    def complete(self) -> bool:
        """Return whether an earlier process finished the run and all its outputs are unchanged."""
        return self.manifest["status"] == "complete" and all(map(self.finished, self.manifest["stages"]))

    def _checksums(self, outputs: list[str]) -> dict[str, str]:
        return {name: digest_of(self.folder / name) for name in outputs if name.endswith(_DATA)}

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent (even if interrupted) and the peak memory to `run.json`."""
        record = self.manifest["stages"].setdefault(stage, {"seconds": 0.0, "done": False})
        start = time.perf_counter()
        try:
            yield
        finally:
            record["seconds"] = round(record["seconds"] + time.perf_counter() - start, 3)
            record["peak_memory_mb"] = peak_memory()
            with contextlib.suppress(StoreError):
                self.save()

    def finish(self, stage: str, outputs: list[str]) -> None:
        """Mark a stage as finished and record its outputs, which must be complete."""
        self.manifest["stages"][stage] |= {"done": True, "outputs": outputs, "sha256": self._checksums(outputs)}
        self.save()

    @cached_property
    def model(self) -> LoadedModel:
        """The model, loaded and self-tested on first use.

        Raises StoreError if an earlier process of this run saw other files under the same name.
        """
        from layeratlas.models.files import differing
        from layeratlas.models.sources import source_of

        source_of(self.spec.model)  # refuse an invalid model before any progress is shown
        loaded = self.models.load(self.spec.model, self.progress)
        if known := self.manifest["model"]:
            changed = differing(known["files"], loaded.info["files"])
            if changed or known["tokenizer_hash"] != loaded.info["tokenizer_hash"]:
                raise other_model(self.spec.model.id, changed)
        self.manifest["model"] = loaded.info
        self.save()
        return loaded

    def demand_same_model(self) -> None:
        """Raise StoreError if the model's files on this machine are not those that this run has used."""
        model, recorded = self.spec.model, self.manifest["model"].get("files")
        if recorded and os.path.exists(os.path.expanduser(model.id)):
            from layeratlas.models.files import changed_files

            if changed := changed_files(model.id, model.adapter, recorded):
                raise other_model(model.id, changed)


def _cleared(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Remove what a run without a result wrote, and return whether that was all."""
    if any(stage.get("done") for stage in manifest.get("stages", {}).values()):
        return False
    from layeratlas.runs.beginning import clear_beginning  # a finished run does without stores

    return clear_beginning(folder)


def other_model(model: str, changed: Sequence[str], since: str = "this run began") -> StoreError:
    """Return the error for a model of which files have been replaced; none are named if they are unknown."""
    which = f" ({', '.join(changed[:3])})" if changed else ""
    return StoreError(
        f"the files of model '{model}' have changed since {since}{which}",
        "the same files to resume",
        "choose another --out",
    )


StageFunction = Callable[[Workspace], list[str]]
