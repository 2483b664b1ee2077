"""The specs built from the options of a run, or of an atlas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

from layeratlas.api.options import Given, Model, ModelOptions, check_names, given_of
from layeratlas.core import registry
from layeratlas.core.errors import SpecError, unknown_name
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec, RunSpec, check_size
from layeratlas.runs.uses import CHAT, LABELS, check_uses, name_of

# The studies of an atlas, in the order of its page: those that load a model alike follow each other.
ATLAS = ("hierarchy", "exits", "causal", "segments")
# Those of an atlas over training; the causal study keeps no draws, so that its numbers have no axis of training.
TRAINED = ("hierarchy", "exits", "segments")


def make_spec(study: str, model: Model, size: str, options: Mapping[str, Any], together: Sequence[str] = ()) -> RunSpec:
    """Return the spec of a run: the study's defaults at this size, overridden by the options.

    `together` are the studies for which the options are given: what only others of them use is left out. Raises
    SpecError for an unknown name, an invalid value, or an option that none of the studies uses.
    """
    plugin = registry.get("studies", study)
    given = given_of(options)
    if together:
        given = _part_of(given, plugin.uses, frozenset().union(*(registry.get("studies", s).uses for s in together)))
    default: ProbeSpec = plugin.probe_spec(check_size(size))
    spec = RunSpec(
        study=study,
        size=check_size(size),
        model=make_model_spec(model, given.model),
        probe=ProbeSpec(**{**dict(default), **given.probe}),
        capture=CaptureSpec(**given.capture),
        settings=given.settings,
        **given.run,
    )
    check_uses(spec, plugin.uses, default, given.names())
    plugin.settings(**spec.settings)
    return spec


def check_used(options: Mapping[str, Any], studies: Sequence[str]) -> None:
    """Raise SpecError for an option that none of some studies uses."""
    given = given_of(options)
    asked = {*given.names(), *({f"model.{name}" for name in given.model} & CHAT), *({LABELS} & given.run.keys())}
    used = frozenset().union(*(registry.get("studies", study).uses for study in studies))
    for option in sorted(asked - used):
        raise SpecError(f"no study of {', '.join(studies)} uses the option '{name_of(option)}'", "", "leave it out")


def make_specs(
    study: str, model: Model, size: str, options: Mapping[str, Any], together: Sequence[str] = ATLAS
) -> list[RunSpec]:
    """Return the spec of a study, or those of an atlas of the studies `together`.

    Options and settings of an atlas go to the studies that use them; a setting `causal.prompts` goes to one study.

    Raises SpecError like `make_spec`, and for an atlas also for `tasks` and `data`, which belong to single studies.
    """
    if study != "atlas":
        return [make_spec(study, model, size, options)]
    given = given_of(options)
    for name in ("tasks", "data", "bad_rows", "label_kind"):
        if name in given.run:
            raise SpecError(f"an atlas does not take the option '{name}'", "the studies' own texts", "run one study")
    own = _own_settings(given.settings, together)
    return [make_spec(study, model, size, {**options, "settings": own[study]}, together) for study in together]


def _own_settings(settings: Mapping[str, Any], studies: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of each study of an atlas, from names such as `maps` and `causal.prompts`.

    A name without a study belongs to all studies that have it. Raises SpecError where it is not the same setting in
    them: of another type or another default.
    """
    fields = {study: registry.get("studies", study).settings.model_fields for study in studies}
    known = sorted({name for names in fields.values() for name in names})
    own: dict[str, dict[str, Any]] = {study: {} for study in studies}
    for given, value in settings.items():
        prefix, dot, name = given.rpartition(".")
        owners = [study for study in studies if name in fields[study] and (not dot or study == prefix)]
        if not owners:
            raise unknown_name(
                "setting", given, [f"{prefix}.{n}" for n in fields[prefix]] if prefix in fields else known
            )
        if len({(str(fields[study][name].annotation), fields[study][name].default) for study in owners}) > 1:
            raise SpecError(
                f"the setting '{name}' is a different one in {' and '.join(owners)}",
                " or ".join(f"{study}.{name}" for study in owners),
                "name the study",
            )
        for study in owners:
            if name in own[study]:
                raise SpecError(f"the setting '{study}.{name}' is given twice", f"'{name}' or '{study}.{name}'")
            own[study][name] = value
    return own


def _part_of(given: Given, uses: frozenset[str], used: frozenset[str]) -> Given:
    """Return the options that a study `uses`, and those that no study `used`, which are then refused."""

    def part(of: Mapping[str, Any], spec: str) -> dict[str, Any]:
        return {k: v for k, v in of.items() if f"{spec}.{k}" in uses or f"{spec}.{k}" not in used}

    others = (CHAT | {LABELS}) & used - uses
    return replace(
        given,
        run={k: v for k, v in given.run.items() if k not in others},
        model={k: v for k, v in given.model.items() if f"model.{k}" not in others},
        probe=part(given.probe, "probe"),
        capture=part(given.capture, "capture"),
    )


def make_model_spec(model: Model, options: Mapping[str, Any]) -> ModelSpec:
    """Return a model's spec: the given one, overridden by the options."""
    check_names(options, {"model", "plan", *get_type_hints(ModelOptions)})
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(model, ModelSpec):
        return ModelSpec(**{**dict(model), **given})
    if not isinstance(model, str | Path):
        raise SpecError(f"the option model={model!r} is invalid", "a hub id, a directory, a .gguf file or an alias")
    return ModelSpec(id=str(model), **given)
