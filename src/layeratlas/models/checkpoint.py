"""A model's safetensors files: which file holds each tensor, and how often each tensor was read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from layeratlas.core.errors import ModelError
from layeratlas.core.files import read_json

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_NAMED = "transformers_weights"  # the config key for another file name
_DOWNLOAD = "check the download"
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F16": 16, "BF16": 16, "I16": 16, "U16": 16}
_BITS |= {"F32": 32, "I32": 32, "U32": 32, "F64": 64, "I64": 64, "U64": 64}


class Checkpoint:
    """The tensors in a model's directory, by name; each is read only on request.

    `shapes`, `dtypes` (safetensors' names) and `sizes` (bytes as stored) are keyed by tensor name. `read` counts how
    often each tensor has been handed out. Raises ModelError if a file of the checkpoint is absent, or if two files hold
    the same tensor.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        self.sizes: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self.read: dict[str, int] = {}
        for path in _parts(folder):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - it is no dict
                    if name in self._files:
                        files = f"{self._files[name].name} and {path.name}"
                        raise ModelError(f"'{folder}' holds '{name}' in {files}", "each tensor once", _DOWNLOAD)
                    tensor = file.get_slice(name)
                    self._files[name] = path
                    self.shapes[name] = tuple(tensor.get_shape())
                    self.dtypes[name] = tensor.get_dtype()
                    self.sizes[name] = prod(self.shapes[name]) * _BITS.get(self.dtypes[name], 8) // 8

    @property
    def beside(self) -> list[str]:
        """The directory's other safetensors files, which are not read."""
        used = set(self._files.values())
        return sorted(path.name for path in self.folder.glob("*.safetensors") if path not in used)

    @property
    def numbers(self) -> int:
        """The total number of elements in all tensors."""
        return sum(map(prod, self.shapes.values()))

    @contextmanager
    def tensors(self, names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield tensors as slices of open files; `slice[...]` reads one."""
        with ExitStack() as stack:
            files: dict[Path, Any] = {}
            slices = {}
            for name in names:
                path = self._files[name]
                if path not in files:
                    files[path] = stack.enter_context(safe_open(path, framework="pt"))
                slices[name] = files[path].get_slice(name)
                self.read[name] = self.read.get(name, 0) + 1
            yield slices

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)


def _parts(folder: Path) -> list[Path]:
    """Return the files that transformers would read: the single file, or else those that the index names."""
    named = read_json(folder / "config.json").get(_NAMED) if (folder / "config.json").is_file() else None
    if named is not None:
        raise ModelError(f"'{folder}' names its weights '{named}' in config.json", f"{_SINGLE} or {_INDEX}")
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if not (folder / _INDEX).is_file():
        raise ModelError(f"'{folder}' has neither {_SINGLE} nor {_INDEX}", "one of the two", _DOWNLOAD)
    names = _named_parts(folder)
    paths = [folder / name for name in names]
    absent = [path.name for path in paths if not path.is_file()]
    if absent or not paths:
        raise ModelError(
            f"'{folder}' lacks {absent[0] if absent else 'the files that its index should name'}",
            "every file of the checkpoint",
            _DOWNLOAD,
        )
    return paths


def _named_parts(folder: Path) -> list[str]:
    """Return the files that the index names; raises ModelError for one outside the index's directory."""
    try:
        weight_map = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(map(str, weight_map.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"'{folder / _INDEX}' cannot be read ({type(error).__name__})", "an index", _DOWNLOAD
        ) from None
    outside = next((name for name in names if Path(name).name != name), None)
    if outside is not None:
        raise ModelError(f"'{folder / _INDEX}' names the file '{outside}'", "files of its own directory", _DOWNLOAD)
    return names
