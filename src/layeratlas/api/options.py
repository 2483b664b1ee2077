"""The options of a run, shared by Python and the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, cast, get_type_hints

from layeratlas.core.errors import SpecError, unknown_name
from layeratlas.core.spec import CaptureSpec, Component, ModelSpec, ProbeSpec, Spec

Model = str | Path | ModelSpec


class ModelOptions(TypedDict, total=False):
    """Options for loading the model: the fields of ModelSpec. An option that is None or missing keeps its default."""

    revision: str | None
    dtype: Literal["float32", "bfloat16", "float16", "auto"] | None
    attention: Literal["sdpa", "eager"] | None
    device: str | None
    bos: Literal["auto", "never", "tokenizer"] | None
    weights: Literal["resident", "streamed", "auto", "remote"] | None
    parallel: int | None
    memory: float | None
    adapter: str | None
    chat: bool | None
    system: str | None
    chat_options: Mapping[str, Any] | None
    trust_remote_code: bool | None


class Options(ModelOptions, total=False):
    """Options of a run besides study, model and size. An option that is None or missing keeps the study's default.

    `tasks` are names of tasks. `data` are paths of your own texts; `bad_rows` refuses or drops their malformed rows,
    and `label_kind` declares their labels as classes or numbers. `position` and `components` select the activations of
    each text; `precision` is exact, or fast for rounded products. `probe` is the name of a probe, a list of names, or
    fields of ProbeSpec; `folds`, `repeats`, `shuffles`, `svm_c` and `pca` are also fields of it. `capture` has further
    fields of CaptureSpec, `settings` the study's own settings (`layeratlas list settings STUDY`).
    """

    tasks: str | Sequence[str] | None
    data: str | Path | Sequence[str | Path] | None
    position: str | None
    components: Component | Sequence[Component] | None
    precision: Literal["exact", "fast"] | None
    probe: str | Sequence[str] | Mapping[str, Any] | ProbeSpec | None
    folds: int | None
    repeats: int | None
    shuffles: int | None
    svm_c: float | None
    pca: int | None
    capture: Mapping[str, Any] | CaptureSpec | None
    settings: Mapping[str, Any] | None
    seed: int | None
    bad_rows: Literal["refuse", "drop"] | None
    label_kind: Literal["auto", "classes", "numbers"] | None


_SHORT = {"capture": ("position", "components", "precision"), "probe": ("folds", "repeats", "shuffles", "svm_c", "pca")}
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Given:
    """The options that the user gave, grouped by spec; all others keep their defaults."""

    run: dict[str, Any]
    model: dict[str, Any]
    probe: dict[str, Any]
    capture: dict[str, Any]
    settings: dict[str, Any]

    def names(self) -> list[str]:
        """Return the names of the given probe and capture options, such as `probe.folds`."""
        return [*(f"probe.{name}" for name in self.probe), *(f"capture.{name}" for name in self.capture)]


def explicit(options: type[ModelOptions]) -> Callable[[Function], Function]:
    """Show each option by name in `help()` and in notebooks, as type checkers do for `**options`."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        for name, kind in options.__annotations__.items():
            words = getattr(kind, "__forward_arg__", kind)
            named.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=words))
        function.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
        return function

    return decorate


def checked(function: Function) -> Function:
    """Refuse arguments that do not fit a function with a one-line error, like the options of a run."""
    signature = inspect.signature(function)
    names = sorted(name for name, known in signature.parameters.items() if known.kind is not known.POSITIONAL_ONLY)

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        check_names(options, names)
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise SpecError(
                f"{function.__name__}() is called with arguments that do not fit ({error})", "its signature"
            ) from None
        return function(*args, **options)

    return cast(Function, call)


def given_of(options: Mapping[str, Any]) -> Given:
    """Return the given options grouped by spec; raises SpecError for an unknown name or an invalid value."""
    check_names(options, {"model", "size", "out", "progress", *get_type_hints(Options)})
    given = {name: value for name, value in options.items() if value is not None}
    probe = given.get("probe", {})
    if not isinstance(probe, Mapping | ProbeSpec):
        if not isinstance(probe, Sequence):
            raise SpecError(f"the option probe={probe!r} is invalid", "names of probes, or fields of ProbeSpec")
        probe = {"methods": _listed(probe)}
    return Given(
        run={name: _listed(given[name]) for name in ("tasks", "data") if name in given}
        | {name: given[name] for name in ("seed", "bad_rows", "label_kind") if name in given},
        model={name: given[name] for name in get_type_hints(ModelOptions) if name in given},
        probe=_with_short("probe", probe, given),
        capture=_with_short("capture", given.get("capture", {}), given),
        settings=_fields("settings", given.get("settings", {})),
    )


def _with_short(name: str, fields: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields given in a dict or spec, together with those given as separate options."""
    whole = _fields(name, fields)
    short = {field: given[field] for field in _SHORT[name] if field in given}
    for field in whole.keys() & short.keys():
        raise SpecError(f"'{field}' is given twice", f"'{field}' alone or in '{name}'", "remove one")
    if isinstance(short.get("components"), str):
        short["components"] = (short["components"],)
    return whole | short


def _fields(name: str, value: object) -> dict[str, Any]:
    """Return a dict unchanged, or the fields that were set on a spec."""
    if isinstance(value, Spec):
        return {field: getattr(value, field) for field in value.model_fields_set}
    if not isinstance(value, Mapping):
        raise SpecError(f"the option {name}={value!r} is invalid", "names with values, such as {'repeats': 3}")
    return {str(field): inner for field, inner in value.items()}


def _listed(value: Any) -> Any:
    """Return one or more names or paths as a tuple of text; other values are left for the spec to refuse."""
    if isinstance(value, str | Path):
        return (str(value),)
    return tuple(str(v) if isinstance(v, Path) else v for v in value) if isinstance(value, Sequence) else value


def check_names(options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise SpecError for an option that is not among the known ones."""
    for name in options:
        if name not in known:
            raise unknown_name("option", name, sorted(known))
