"""A sweep's file becomes its runs; what no run could be made of is refused with its line."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from layeratlas.core.errors import SpecError
from layeratlas.runs.place import FolderPlace
from layeratlas.sweeps.finishing import comparison_folder
from layeratlas.sweeps.plan import read_plan, write_plan
from layeratlas.sweeps.reading import line_of, read_sweep
from layeratlas.sweeps.spec import SweepSpec, Variant
from layeratlas.sweeps.units import units_of

WHOLE = """\
models = ["one", "other"]
revisions = ["a", "b"]
studies = ["hierarchy", "exits"]
tasks = ["items", ["relations", "facts"]]
seeds = [0, 1]
size = "quick"

[options]
bos = "never"

[settings.exits]
shots = 0

[[variants]]
name = "plain"

[[variants]]
name = "letters"
studies = ["exits"]
settings = { format = "letter" }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def test_every_combination_is_one_run_and_a_study_reads_its_own_tasks(tmp_path):
    units = units_of(read_sweep(written(tmp_path, WHOLE)))
    # Four models and revisions, two seeds: hierarchy with items and with relations; exits with facts, in two variants.
    assert len(units) == 4 * 2 * (2 + 2)
    assert len({unit.name for unit in units}) == len(units)
    assert {(unit.spec.study, unit.spec.tasks) for unit in units} == {
        ("hierarchy", ("items",)),
        ("hierarchy", ("relations",)),
        ("exits", ("facts",)),
    }
    formats = [unit.spec.settings for unit in units if unit.spec.study == "exits"]
    assert formats.count({"shots": 0}) == formats.count({"shots": 0, "format": "letter"}) == 8
    assert all(unit.spec.model.bos == "never" for unit in units)
    assert {(unit.spec.model.id, unit.spec.model.revision) for unit in units} == {
        (model, revision) for model in ("one", "other") for revision in ("a", "b")
    }


def test_runs_of_one_group_differ_by_model_and_revision_only(tmp_path):
    units = units_of(read_sweep(written(tmp_path, WHOLE)))
    for group in {unit.group for unit in units}:
        specs = [unit.spec.model_dump(exclude={"model"}) for unit in units if unit.group == group]
        assert len(specs) == 4
        assert all(spec == specs[0] for spec in specs)


def test_runs_of_one_model_stand_together(tmp_path):
    models = [unit.spec.model.content_hash() for unit in units_of(read_sweep(written(tmp_path, WHOLE)))]
    changes = sum(before != after for before, after in pairwise(models))
    assert changes == len(set(models)) - 1


def test_a_plan_is_read_as_it_was_written_and_a_changed_one_is_refused(tmp_path):
    sweep = read_sweep(written(tmp_path, WHOLE))
    place = FolderPlace(tmp_path)
    name = write_plan(place, sweep)
    assert read_plan(place, name) == units_of(sweep)
    path = tmp_path / "plans" / f"{name}.json"
    path.write_text(path.read_text().replace("letter", "cloze"))
    with pytest.raises(Exception, match="changed or damaged"):
        read_plan(place, name)


@pytest.mark.parametrize(
    ("change", "line", "found"),
    [
        (("seeds = [0, 1]", "seeds = [0, -1]"), 5, "seed"),
        (("seeds = [0, 1]", "seeds = [\n0, -1]"), 6, "seed"),
        (("seeds = [0, 1]", "seeds = [0, 1.5]"), 5, "seeds"),
        (("seeds = [0, 1]", "seed = [0, 1]"), 5, "no sweep field named 'seed'"),
        (('size = "quick"', 'size = "quik"'), 6, "size"),
        (('size = "quick"', "size = quick"), 6, "not TOML"),
        (('name = "letters"', 'name = "a/b"'), 18, "name"),
        (('name = "letters"', 'name = "plain"'), 18, "variant 'plain' twice"),
        (('name = "letters"', 'name = "Plain"'), 18, "variant 'Plain' twice"),
        (('name = "letters"', ""), 17, "name"),
        (('studies = ["exits"]\nsettings', 'studys = ["exits"]\nsettings'), 19, "studys"),
        (('studies = ["exits"]\nsettings', 'studies = ["exit"]\nsettings'), 19, "no study named 'exit'.*'exits'?"),
        (('studies = ["exits"]\nsettings', 'studies = ["causal"]\nsettings'), 19, "sets something for 'causal'"),
        (('format = "letter"', "formt = 1"), 20, "formt"),
        (('format = "letter"', 'format = "lettr"'), 20, "lettr"),
        (('{ format = "letter" }', "{ shots = -1, format = 'letter' }"), 20, "shots"),
        (('settings = { format = "letter" }', "options.folds = 1"), 20, "folds"),
        (('settings = { format = "letter" }', "[variants.options]\ndtype = 'half'"), 21, "dtype"),
        (("shots = 0", "shot = 0"), 12, "shot"),
        (("shots = 0", "# several\nshots = -1"), 13, "shots"),
        (('bos = "never"', 'boss = "never"'), 9, "boss"),
        (('bos = "never"', 'bos = "nevr"'), 9, "nevr"),
        (('bos = "never"', "folds = 5\ncapture = { batch_tokens = 0 }"), 10, "batch_tokens"),
        (('bos = "never"', "folds = 5\n[options.capture]\nbatch_tokens = 0"), 11, "batch_tokens"),
        (('bos = "never"', "folds = 5\nsystem = 'Be brief.'"), 10, "without a chat"),
        (('bos = "never"', "folds = 1\nbatch_tokens = 1\nshuffles = 3"), 10, "batch_tokens"),
        (('bos = "never"', "folds = 1\nshuffles = 3"), 9, "folds"),
        (('bos = "never"', "probe = [\n  'ridge',\n  3,\n]"), 11, "probe|methods"),
        (('bos = "never"', "seed = 3"), 9, "seed"),
        (('bos = "never"', "progress = 3"), 9, "the sweep's options hold 'progress'"),
        (('tasks = ["items", ["relations", "facts"]]', 'tasks = ["items"]'), 4, "no task of the sweep is for"),
        (('tasks = ["items"', 'tasks = ["itms"'), 4, "itms"),
        (('tasks = ["items", ["relations"', 'tasks = [\n"items",\n["relatins"'), 6, "relatins"),
        (('studies = ["hierarchy", "exits"]', 'studies = ["hierarchy"]'), 11, "exits"),
        (('studies = ["hierarchy", "exits"]', 'studies = ["hierarchy", "exit"]'), 3, "no study named 'exit'"),
        (("[settings.exits]", "[settings.exts]"), 11, "no study named 'exts'.*'exits'?"),
        (('models = ["one", "other"]', 'models = ["one", "one"]'), 1, "twice"),
        (('models = ["one", "other"]', 'models = [\n  "one",\n  "other",\n  "one",\n]'), 4, "twice"),
        (('["a", "b"]', '["a",\n"a"]'), 3, "twice"),
        (('["items", ["relations", "facts"]]', '["items", ["items", "facts"]]'), 4, "twice"),
        (
            ('["items", ["relations"', '["items",\n["relations", "relations"'),
            5,
            "one run has the task 'relations' twice",
        ),
        (('models = ["one", "other"]', "models = []"), 1, "models"),
        (('models = ["one", "other"]', 'models = [\n"one", 3]'), 2, "models"),
    ],
)
def test_what_no_run_could_be_made_of_is_refused_with_its_line(tmp_path, change, line, found):
    assert change[0] in WHOLE
    path = written(tmp_path, WHOLE.replace(*change, 1))
    with pytest.raises(SpecError, match=found) as error:
        read_sweep(path)
    assert "\n" not in str(error.value)
    assert re.search(r"line (\d+)", str(error.value))[1] == f"{line}"


def test_an_unknown_option_is_answered_with_those_that_a_sweep_takes(tmp_path):
    with pytest.raises(SpecError, match="no option named 'boss'") as error:
        units_of(read_sweep(written(tmp_path, WHOLE.replace('bos = "never"', 'boss = "never"'))))
    offered = set(re.findall(r"\w+", str(error.value).partition("expected")[2]))
    assert {"bos", "dtype", "folds", "label_kind"} <= offered
    assert offered & {"model", "size", "out", "progress", "seed", "tasks", "settings", "revision"} == set()


VARIANT = """\
studies = ["hierarchy", "exits"]
size = "quick"

[options]
position = "mean"

[[variants]]
name = "some"
studies = ["exits"]
{fields}
"""


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("settings = { mdl = true }", "the variant 'some' sets 'mdl', which is no setting of exits; expected one of"),
        ('options = { position = "last" }', "the variant 'some': no study of exits uses the option 'position'; leave"),
        ("options = { pca = 5 }", "the variant 'some': no study of exits uses the option 'pca'"),
        ('options = { label_kind = "numbers" }', "the variant 'some': no study of exits uses the option 'label_kind'"),
    ],
)
def test_a_variant_sets_only_what_its_studies_have(tmp_path, fields, found):
    with pytest.raises(SpecError, match=found):
        units_of(read_sweep(written(tmp_path, VARIANT.format(fields=fields))))
    of_both = VARIANT.format(fields=fields).replace('studies = ["exits"]\n', "")
    assert {unit.spec.study for unit in units_of(read_sweep(written(tmp_path, of_both)))} == {"hierarchy", "exits"}


def test_a_line_is_that_of_the_innermost_value_that_the_file_holds():
    """Whatever TOML writes a value with; what is not there has the line of the table around it."""
    text = """\
a.b = { c = [
  1,  # [x] = "]"
  2 ] }
"quoted key" = \'\'\'
[not.a.table]
\'\'\'
[x]
[x.y]
z = "["
[[t]]
[[t]]
[t.u]
v = 1
"""
    for keys, line in [
        (("a",), 1),
        (("a", "b", "c", 0), 2),
        (("a", "b", "c", 1), 3),
        (("quoted key",), 6),
        (("x", "y", "z"), 9),
        (("x", "y", "w"), 8),
        (("t", 1), 11),
        (("t", 1, "u", "v"), 13),
        (("t", 0, "u"), 10),
        (("none",), 1),
        ((), 1),
    ]:
        assert (keys, line_of(text, keys)) == (keys, line)


def test_a_study_without_a_variant_of_its_own_is_run_as_it_is():
    fields = {"studies": ("hierarchy", "exits"), "size": "quick"}
    plain, one = (units_of(SweepSpec(**fields, variants=v)) for v in ((), (Variant(name="a", studies=("exits",)),)))
    assert [unit.spec.study for unit in one] == ["hierarchy", "exits"]
    assert [unit == same for unit, same in zip(one, plain, strict=True)] == [True, False]


def test_no_two_groups_are_compared_in_one_folder():
    """Names that joined by a dash would be equal, names that differ by what a folder's name may not hold, long ones."""
    tasks = ("items", ("items", "relations"))
    names = ("a_b", "a-b", "relations", "relations-relations", "a" * 41, "a" * 40)
    units = units_of(SweepSpec(models=("one",), tasks=tasks, variants=tuple(Variant(name=name) for name in names)))
    place = FolderPlace(Path("out"))
    assert len({unit.group for unit in units}) == len(units) == len(tasks) * len(names)
    assert len({comparison_folder(place, unit.group) for unit in units}) == len(units)
    strange = ["a/b", "a:b", "a?b", f"{'x' * 100}1", f"{'x' * 100}2", "../a", ".."]
    folders = [comparison_folder(place, group) for group in strange]
    assert len(set(folders)) == len(strange)
    assert {folder.parent for folder in folders} == {place.folder / "comparisons"}
    assert not any(folder.name.strip(".") == "" for folder in folders)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    """Editors of Windows write one."""
    (tmp_path / "sweep.toml").write_text(WHOLE, encoding="utf-8-sig")
    assert (tmp_path / "sweep.toml").read_bytes()[:3] == b"\xef\xbb\xbf"
    assert read_sweep(tmp_path / "sweep.toml") == read_sweep(written(tmp_path, WHOLE))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.toml"):
        read_sweep(tmp_path / "none.toml")


def test_fields_from_python_mean_what_a_file_means(tmp_path):
    path = written(tmp_path, 'models = ["one"]\nstudies = ["hierarchy"]\nseeds = [3]\nsize = "quick"\n')
    assert units_of(SweepSpec(models=("one",), seeds=(3,), size="quick")) == units_of(read_sweep(path))
