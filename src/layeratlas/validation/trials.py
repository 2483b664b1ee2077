"""Results of simulations, written as they are computed, so that a table can be computed in several sessions."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from layeratlas.core.checksums import code_digest
from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json, write_json
from layeratlas.core.spec import Size
from layeratlas.core.versions import version_of

_HEADER = "validation.json"
# The code whose results the simulations show. A row of a folder holds for the code that computed it alone.
_SIMULATED = ("core", "data", "store", "stats", "probes", "metrics", "runs", "studies", "comparison", "validation")


class Trials:
    """The results of a table, by line and seed; with a folder, each result is written there immediately.

    There is one file per line of the table, `trials/NAME.jsonl`, with one row per seed. A row truncated by an
    interruption is computed again. Raises StoreError for a folder of other code or another size.
    """

    def __init__(self, folder: Path | None, size: Size) -> None:
        self._folder = folder
        self._known: dict[str, dict[int, Any]] = {}
        if folder is None:
            return
        header = {"version": version_of("layeratlas"), "code": code_digest(*_SIMULATED)[:12], "size": size}
        path = folder / _HEADER
        found = read_json(path) if path.exists() else header
        if found != header:
            raise StoreError(
                f"'{folder}' has simulations of {_described(found)}",
                f"those of {_described(header)}",
                "choose another --out, or delete the folder",
            )
        write_json(path, header)

    def of(self, name: str) -> dict[int, Any]:
        """Return the known results of a line by seed."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def add(self, name: str, results: dict[int, Any]) -> None:
        """Keep the results of some seeds."""
        self.of(name).update(results)
        if self._folder is None:
            return
        rows = "".join(json.dumps({"seed": seed, "result": result}) + "\n" for seed, result in results.items())
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                # Start a new line after a truncated row.
                file.write((("\n" if _is_torn(file) else "") + rows).encode())
        except OSError as error:
            raise StoreError(
                f"cannot write '{path}': {error.strerror}",
                "a disk with space and a folder that can be written",
                "make room, then run the same command to resume",
            ) from error

    def _read(self, name: str) -> dict[int, Any]:
        path = self._path(name) if self._folder is not None else None
        if path is None or not path.exists():
            return {}
        known = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                known[int(row["seed"])] = row["result"]
            except (ValueError, KeyError, TypeError):
                continue  # a truncated row
        return known

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / "trials" / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".jsonl")


def _is_torn(file: BinaryIO) -> bool:
    """Return whether a file ends with a truncated row."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _described(header: Any) -> str:
    known = header if isinstance(header, dict) else {}
    return f"version {known.get('version', '?')}, code {known.get('code', '?')}, size {known.get('size', '?')}"
