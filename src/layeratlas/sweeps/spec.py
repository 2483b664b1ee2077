"""The specification of a sweep: models x revisions x studies x tasks x variants x seeds."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from layeratlas.core.spec import DEFAULT_MODEL, Size, Spec


class Variant(Spec):
    """One way to run the studies: settings and options that override those of the whole sweep."""

    noun: ClassVar[str] = "variant field"

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$", description="a short name of letters, digits, '.', '_' and '-'"
    )
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
