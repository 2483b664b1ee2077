"""The specification of a sweep: models x revisions x studies x tasks x variants x seeds, read from a TOML file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from layeratlas.core.errors import AtlasError, SpecError
from layeratlas.core.spec import DEFAULT_MODEL, Size, Spec

_TABLE = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_.\"-]+?)\s*\]{1,2}\s*(#.*)?$")


class Variant(Spec):
    """One way to run the studies: settings and options that override those of the whole sweep."""

    noun: ClassVar[str] = "variant field"

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$", description="a short name, part of folder names")
    studies: tuple[str, ...] = Field(default=(), description="the studies it is for, by default all")
    options: dict[str, Any] = Field(default={}, description="options of a run by name, as for layeratlas.run")
    settings: dict[str, Any] = Field(default={}, description="settings of the studies by name")


class SweepSpec(Spec):
    """A sweep: every combination of its lists is one run.

    An element of `tasks` is the name of a task, or a list of names that one run reads together; each study reads only
    its own tasks. `settings` holds the settings of each study by its name. `variants` are ways to run the same
    combination; without any there is one.
    """

    noun: ClassVar[str] = "sweep field"

    models: tuple[str, ...] = Field(
        default=(DEFAULT_MODEL,), min_length=1, description="hub ids, directories, .gguf files or aliases"
    )
    revisions: tuple[str, ...] = Field(default=(), description="revisions of the models")
    studies: tuple[str, ...] = Field(default=("hierarchy",), min_length=1, description="names of studies")
    tasks: tuple[str | tuple[str, ...], ...] = Field(default=(), description="names of tasks, or lists of names")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="seeds of folds, shuffles and draws")
    size: Size = Field(default="standard", description="how many texts")
    options: dict[str, Any] = Field(default={}, description="options of a run by name, for the studies that use them")
    settings: dict[str, dict[str, Any]] = Field(default={}, description="settings by study")
    variants: tuple[Variant, ...] = Field(default=(), description="further ways to run the same")
    together: bool = Field(
        default=False, description="whether all runs are put on one page, instead of one page per study and variant"
    )
    families: dict[str, str] = Field(default={}, description="families of models by a part of their names")


def read_sweep(path: Path) -> SweepSpec:
    """Return the sweep of a TOML file; raises SpecError with the number of the faulty line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SpecError(f"'{path}' cannot be read ({reason})", "a TOML file", "check the path") from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"'{path}' is not TOML ({error})", "lines such as models = ['smollm2-135m']") from None
    variants = values.pop("variants", [])
    if not isinstance(variants, list) or not all(isinstance(variant, dict) for variant in variants):
        raise SpecError(f"'{path}', line {line_of(text, 'variants')}: variants is not a table", "[[variants]] tables")
    parsed = []
    for number, fields in enumerate(variants):
        with _At(path, text, fields, number):
            parsed.append(Variant(**fields))
    with _At(path, text, values):
        return SweepSpec(**values, variants=tuple(parsed))


class _At:
    """Adds to an error the file and the line of the field that it names."""

    def __init__(self, path: Path, text: str, fields: dict[str, Any], variant: int | None = None) -> None:
        self._path, self._text, self._fields, self._variant = path, text, fields, variant

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, AtlasError):
            name = next((name for name in self._fields if re.search(rf"\b{re.escape(name)}\b", error.problem)), None)
            line = line_of(self._text, name, self._variant)
            raise SpecError(f"'{self._path}', line {line}: {error.problem}", error.expected, error.todo) from None


def line_of(text: str, name: str | None, variant: int | None = None) -> int:
    """Return the line, from 1, that sets a field of the top level or of a variant, or else the line of its table."""
    table, seen, start = "", -1, 1
    for number, line in enumerate(text.splitlines(), 1):
        header = _TABLE.match(line)
        if header:
            table = header[1]
            seen += table == "variants"
            inside = table == "variants" and seen == variant
            start = number if inside else start
            if variant is None and table.partition(".")[0] == name:
                return number
        at_home = (table == "") if variant is None else (table.startswith("variants") and seen == variant)
        if name is not None and at_home and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*[.=]", line):
            return number
    return start
