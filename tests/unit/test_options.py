"""Options mean the same from Python and from the command line; whatever does not fit is one line of AtlasError."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.testing import CliRunner

import layeratlas as la
from layeratlas.api import running
from layeratlas.api.options import ModelOptions, Options
from layeratlas.api.specs import ATLAS, TRAINED, make_spec, make_specs
from layeratlas.cli.app import app
from layeratlas.cli.flags import ModelFlags, RunFlags
from layeratlas.core import registry
from layeratlas.core.fields import accepted
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec, RunSpec
from layeratlas.studies.exits.prompts import ExitSettings

TEXTS = [f"text {i} {j}" for i in range(6) for j in range(2)]
LABELS = ["a", "b"] * 6


@pytest.fixture
def asked(monkeypatch):
    """The specs that would be run, in order; none is."""
    specs: list[RunSpec] = []

    def run_spec(spec, *args):
        specs.append(spec)
        raise la.AtlasError("stopped")

    monkeypatch.setattr(running, "run_spec", run_spec)
    return specs


@pytest.mark.parametrize(
    ("study", "options", "flags"),
    [
        ("hierarchy", {"probe": {"repeats": 3}}, ("--repeats", "3")),
        ("hierarchy", {"repeats": 3}, ("--repeats", "3")),
        ("hierarchy", {"probe": la.ProbeSpec(repeats=3)}, ("--repeats", "3")),
        ("hierarchy", {"probe": "svm", "svm_c": 0.1}, ("--probe", "svm", "--svm-c", "0.1")),
        ("hierarchy", {"probe": ["svm", "ridge"], "pca": 9}, ("--probe", "svm", "--probe", "ridge", "--pca", "9")),
        ("hierarchy", {"position": "mean", "components": "attn"}, ("--position", "mean", "--component", "attn")),
        ("hierarchy", {"capture": {"position": "mean"}}, ("--position", "mean")),
        ("hierarchy", {"tasks": "items", "seed": 4}, ("--task", "items", "--seed", "4")),
        ("hierarchy", {"data": [Path("a.csv"), "b.csv"]}, ("--data", "a.csv", "--data", "b.csv")),
        ("exits", {"settings": {"shots": 0, "strict": True}}, ("--set", "shots=0", "--set", "strict=true")),
        ("exits", {"chat": True, "system": "Be brief."}, ("--chat", "--system", "Be brief.")),
        (
            "hierarchy",
            {"chat": True, "chat_options": {"think": False, "tone": "dry"}, "position": "answer"},
            ("--chat", "--chat-option", "think=false", "--chat-option", "tone=dry", "--position", "answer"),
        ),
        (
            "segments",
            {"dtype": "bfloat16", "device": "cpu", "weights": "streamed", "memory": 2.5, "bos": "never"},
            ("--dtype", "bfloat16", "--device", "cpu", "--weights", "streamed", "--memory", "2.5", "--bos", "never"),
        ),
    ],
)
def test_python_and_the_command_line_ask_for_the_same_run(asked, study, options, flags):
    with pytest.raises(la.AtlasError, match="stopped"):
        la.run(study, model="some/model", size="quick", **options)
    CliRunner().invoke(app, ["run", study, "--model", "some/model", "--size", "quick", *flags])
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert asked[0] != make_spec(study, "some/model", "quick", {})


@pytest.mark.parametrize("size", ["quick", "standard", "full"])
def test_what_is_not_given_keeps_the_default_of_the_study_at_that_size(size):
    study = registry.get("studies", "hierarchy")
    probe = make_spec("hierarchy", "m", size, {"probe": {"repeats": 3}}).probe
    assert probe == ProbeSpec(**{**dict(study.probe_spec(size)), "repeats": 3})
    assert make_spec("hierarchy", "m", size, dict.fromkeys(Options.__annotations__)) == make_spec(
        "hierarchy", "m", size, {}
    )


def test_a_model_spec_is_kept_and_options_go_over_it():
    spec = make_spec("exits", ModelSpec(id="m", dtype="bfloat16", memory=3), "quick", {"device": "cpu"}).model
    assert dict(spec) == dict(ModelSpec(id="m", dtype="bfloat16", memory=3, device="cpu"))


def test_a_chat_goes_to_the_studies_of_an_atlas_that_put_texts_to_the_model():
    specs = {spec.study: spec for spec in make_specs("atlas", "m", "quick", {"chat": True, "system": "Be brief."})}
    assert {study: spec.model.chat for study, spec in specs.items()} == {
        "hierarchy": True,
        "exits": True,
        "causal": False,
        "segments": False,
    }
    assert specs["segments"].model.system is None
    assert specs["exits"].model.system == "Be brief."


@pytest.mark.parametrize(
    ("name", "value", "user"),
    [("chat", True, "hierarchy"), ("label_kind", "numbers", "hierarchy"), ("folds", 4, "causal")],
)
def test_an_option_goes_to_the_studies_that_use_it_and_is_refused_where_none_does(name, value, user):
    def specs(*studies):
        return [make_spec(study, "m", "quick", {name: value}, studies) for study in studies]

    other, used = specs("segments", user)
    assert other == make_spec("segments", "m", "quick", {})
    assert used == make_spec(user, "m", "quick", {name: value})
    assert used != make_spec(user, "m", "quick", {})
    with pytest.raises(la.AtlasError, match=f"the study 'segments' does not use the option '{name}'"):
        specs("segments")


def test_the_options_of_an_atlas_go_to_the_studies_that_use_them():
    options = {"repeats": 3, "position": "mean", "seed": 2, "settings": {"shots": 1, "tokens": 32}}
    specs = {spec.study: spec for spec in make_specs("atlas", "m", "quick", options)}
    assert list(specs) == list(ATLAS)
    assert specs["hierarchy"].probe.repeats == 3
    assert specs["hierarchy"].capture.position == "mean"
    assert [specs[study].capture for study in ("exits", "causal", "segments")] == [CaptureSpec()] * 3
    assert {study: spec.settings for study, spec in specs.items()} == {
        "hierarchy": {},
        "exits": {"shots": 1},
        "causal": {},
        "segments": {"tokens": 32},
    }
    assert {spec.seed for spec in specs.values()} == {2}


def settings_of(settings, together=ATLAS):
    specs = make_specs("atlas", "m", "quick", {"settings": settings}, together)
    return {spec.study: spec.settings for spec in specs if spec.settings}


def test_a_setting_of_an_atlas_names_its_study_where_two_have_different_ones():
    assert settings_of({"causal.prompts": 8}) == {"causal": {"prompts": 8}}
    assert settings_of({"causal.prompts": 8, "segments.prompts": 12, "segments.tokens": 32}) == {
        "causal": {"prompts": 8},
        "segments": {"prompts": 12, "tokens": 32},
    }
    # One setting that two studies have in common goes to both, or to the one that is named.
    assert settings_of({"random_weights": False}) == {s: {"random_weights": False} for s in ("hierarchy", "exits")}
    assert settings_of({"exits.random_weights": False}) == {"exits": {"random_weights": False}}
    # Without the causal study there is only one.
    assert settings_of({"prompts": 12}, TRAINED) == {"segments": {"prompts": 12}}


def test_every_name_that_studies_of_an_atlas_share_is_decided():
    names = Counter(name for study in ATLAS for name in registry.get("studies", study).settings.model_fields)
    assert {name for name, count in names.items() if count > 1} == {"prompts", "random_weights"}


MISUSES = {
    "a setting that two studies of an atlas have": (
        lambda: la.atlas(settings={"prompts": 8}),
        r"the setting 'prompts' is a different one in causal and segments; expected causal\.prompts or "
        r"segments\.prompts; name the study",
    ),
    "a setting that its study does not have": (
        lambda: la.atlas(settings={"causal.prompt": 8}),
        r"no setting named 'causal\.prompt'; .*; did you mean 'causal\.prompts'\?",
    ),
    "a setting given twice": (
        lambda: la.atlas(settings={"shots": 1, "exits.shots": 2}),
        r"the setting 'exits\.shots' is given twice; expected 'shots' or 'exits\.shots'",
    ),
    "an unknown option": (lambda: la.run(dtyp="float32"), r"no option named 'dtyp'; .*; did you mean 'dtype'\?"),
    "a size": (lambda: la.run(size="quik"), r"no size named 'quik'; .*; did you mean 'quick'\?"),
    "a study": (lambda: la.run("hierachy"), r"no study named 'hierachy'; .*; did you mean 'hierarchy'\?"),
    "a study of another type": (
        lambda: la.run(3),
        r"no study named '3'; expected one of causal, exits, hierarchy, segments",
    ),
    "an atlas as a study": (lambda: la.run("atlas"), r"an atlas is several studies; .*; call layeratlas\.atlas\(\)"),
    "a model": (lambda: la.run(model=3), r"the option model=3 is invalid; expected a hub id, a directory"),
    "a probe": (lambda: la.run(probe=3), r"the option probe=3 is invalid; expected names of probes"),
    "a field of the probe": (lambda: la.run(probe={"repeat": 3}), r"no option named 'repeat'; .*'repeats'\?"),
    "an option given twice": (lambda: la.run(probe={"folds": 3}, folds=4), r"'folds' is given twice; .*; remove one"),
    "a value": (lambda: la.run(folds=1), r"the option folds=1 is invalid; expected a whole number, at least 2"),
    "a type": (lambda: la.run(seed="x"), r"the option seed='x' is invalid; expected a whole number"),
    "true for a number": (lambda: la.run(seed=True), r"the option seed=True is invalid; expected a whole number"),
    "true among numbers": (
        lambda: la.sweep({"seeds": [0, True]}, out="x"),
        r"seeds=\[0, True\] is invalid; expected a list, each a whole",
    ),
    "a component": (lambda: la.run(components=["stream"]), r"components='stream' is invalid; .*resid, attn or mlp"),
    "settings": (lambda: la.run(settings=[1]), r"the option settings=\[1\] is invalid; expected names with values"),
    "a setting": (lambda: la.run("exits", settings={"shot": 1}), r"no setting named 'shot'; .*mean 'shots'\?"),
    "a position that is not used": (lambda: la.run("exits", position="mean"), r"does not use the option 'position'"),
    "a probe that is not used": (
        lambda: la.run("segments", probe="svm"),
        r"does not use the option 'probe'",
    ),
    "a folder": (lambda: la.run(out=4), r"a folder is 4; expected a path"),
    "labels of two types": (lambda: la.probe(TEXTS, [1, "a"] * 6), r"'label': labels are numbers and text; expected"),
    "a label that is missing": (lambda: la.probe(TEXTS, ["a", None] * 6), r"labels are text and NoneType; expected"),
    "a text as texts": (lambda: la.probe("abc", LABELS), r"'label': texts are 'abc'; expected a list"),
    "numbers as texts": (lambda: la.probe([1, 2], [1, 2]), r"'label': texts are numbers; expected text"),
    "no labels": (lambda: la.probe(TEXTS, {}), r"there are no labels; expected one column of labels or more"),
    "files of texts": (lambda: la.probe(TEXTS, LABELS, data="x"), r"'data' is an option of runs of files"),
    "tasks of an atlas": (lambda: la.atlas(tasks=["items"]), r"an atlas does not take the option 'tasks'"),
    "one run to compare": (lambda: la.compare("runs/a"), r"the runs to compare are 'runs/a'; expected a list of two"),
    "a folder that is not there": (lambda: la.load("nowhere"), r"'nowhere/run\.json' does not exist"),
    "an option of a comparison": (
        lambda: la.compare(["a", "b"], familys={}),
        r"no option named 'familys'; .*'families'\?",
    ),
    "a comparison of nothing": (
        la.compare,
        r"compare\(\) is called with arguments that do not fit \(missing a",
    ),
    "an option of a sweep": (lambda: la.sweep("x.toml", outt="y"), r"no option named 'outt'; .*'out'\?"),
    "an option of a check": (lambda: la.check(dtyp=1), r"no option named 'dtyp'; .*; did you mean 'dtype'\?"),
    "a progress": (lambda: la.run(progress="bar"), r"the progress is 'bar'; expected a Progress, or None"),
    "a progress of a comparison": (lambda: la.compare(["x", "y"], progress=3), r"the progress is 3; expected"),
    "a plan": (lambda: la.check(plan="yes"), r"the option plan='yes' is invalid; expected true or false"),
    "half of a character": (lambda: la.probe(["\udc80"] * 12, LABELS), r"texts have half of a surrogate pair"),
    "blocks of an edit": (lambda: la.Edit("skip", 1), r"the edit 'skip' has the blocks 1; expected whole numbers"),
    "blocks in words": (lambda: la.Edit("skip", "12"), r"the edit 'skip' has the blocks '12'; expected whole numbers"),
    "a strength": (lambda: la.Edit("scale", (1,), strength="x"), r"'scale' with strength x; expected a finite number"),
    "vectors": (lambda: la.Edit("mean", (1,), vectors=[[1.0]]), r"vectors that are list; expected a numpy array"),
    "a model to edit": (lambda: la.intervene("x", []).__enter__(), r"the model is 'x'; expected a model that"),
    "the file of a direction": (lambda: la.load_direction(3), r"'3' holds no direction; expected a \.safetensors file"),
    "the plan of a sweep": (lambda: la.sweep(3, out="sweep"), r"the plan of a sweep is 3; expected a TOML file"),
    "a spec": (lambda: la.ProbeSpec(folds=1), r"the option folds=1 is invalid"),
    "a spec within a spec": (lambda: la.RunSpec(probe={"folds": 1}), r"the option folds=1 is invalid"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_misuse_is_one_line_and_leaves_no_files(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    call, pattern = MISUSES[name]
    with pytest.raises(la.AtlasError, match=pattern) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_help_in_a_notebook_shows_every_option_by_name():
    for function in (la.run, la.probe, la.atlas):
        names = set(inspect.signature(function).parameters)
        assert names >= {"model", "size", "out", *Options.__annotations__}
        assert not [p for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_KEYWORD]


def test_every_option_is_in_the_documentation_of_run():
    assert set(re.findall(r"`(\w+)`", inspect.getdoc(la.run))) >= set(Options.__annotations__)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (ExitSettings.model_fields["shots"], "a whole number, at least 0, at most 6"),
        (ExitSettings.model_fields["strict"], "true or false"),
        (ExitSettings.model_fields["format"], "text, letter, cloze, free or chain"),
        (CaptureSpec.model_fields["position"], "last, mean, turn, answer or span:NAME"),
        (CaptureSpec.model_fields["components"], "a list, each resid, attn or mlp"),
        (ProbeSpec.model_fields["pca"], "a whole number, at least 1, or null"),
        (ModelSpec.model_fields["memory"], "a number, greater than 0, or null"),
    ],
)
def test_the_values_of_a_field_in_words(field, words):
    assert accepted(field) == words


def test_the_flags_of_a_command_are_options_of_the_same_name():
    # Only `capture`, whose fields have flags of their own, has none.
    assert get_type_hints(RunFlags).keys() == get_type_hints(Options).keys() - {"capture"}
    assert get_type_hints(ModelFlags).keys() == get_type_hints(ModelOptions).keys() - {"bos"}
