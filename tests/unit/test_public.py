"""What `import layeratlas` offers: names with types, and results that show themselves."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from mypy import api as mypy

import fake_models as fake
import layeratlas as la
from fake_models import FakeModel

ROOT = Path(__file__).parents[2]
MODEL = FakeModel("<b>tiny</b>", lambda level, d: fake.hump({"item": 0.2, "relation": 0.4}.get(level, 0.8))(d))
SCRIPT = """
import layeratlas as la

run = la.run("hierarchy", model="some/model", size="quick", probe={"repeats": 3}, tasks=["items"], seed=1)
reveal_type(run)
reveal_type(run.findings)
reveal_type(la.compare([run, "runs/other"]).claims)
reveal_type(la.load("runs/x"))
reveal_type(la.probe(["a", "b"], [1.0, 2.0], groups=["g", "h"]).report_path)
reveal_type(la.Edit("skip", (1,)).name)
reveal_type(la.__version__)
la.run(size="quik")
la.run(reapeats=3)
la.run(folds="three")
la.atlas(model=3)
"""


# No public type is one of these packages'; reading theirs takes longer than all else.
CONFIG = """
[mypy]
strict = true
[mypy-torch.*,transformers.*,numpy.*,pyarrow.*,rich.*,typer.*,jinja2.*,sklearn.*,scipy.*,altair.*,safetensors.*]
follow_imports = skip
"""


def test_a_strict_type_checker_sees_every_type_and_every_mistake(tmp_path):
    script, config = tmp_path / "script.py", tmp_path / "mypy.ini"
    script.write_text(SCRIPT)
    config.write_text(CONFIG)
    cache = str(ROOT / ".mypy_cache" / "script")
    out, err, _ = mypy.run(["--config-file", str(config), "--cache-dir", cache, "--no-error-summary", str(script)])
    assert err == ""
    assert [re.sub(r"polars\.[\w.]+\.", "", kind) for kind in re.findall(r'Revealed type is "(.*)"', out)] == [
        "layeratlas.api.results.Run",
        "DataFrame",
        "DataFrame",
        "layeratlas.api.results.Run | layeratlas.api.compared.Comparison",
        "pathlib.Path",
        "str",
        "str",
    ]
    errors = dict(re.findall(r"script\.py:(\d+): error: .*\[([\w-]+)\]", out))
    assert errors == {"12": "arg-type", "13": "call-arg", "14": "arg-type", "15": "arg-type"}, out


def test_the_types_are_shipped():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["layeratlas"]
    assert "py.typed" in package
    assert Path(la.__file__).with_name("py.typed").exists()


def test_every_public_name_is_there_and_no_other():
    for name in la.__all__:
        assert getattr(la, name) is not None
    assert dir(la) == sorted(la.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = la.nothing


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    models = [MODEL, replace(MODEL, name="other", parameters=3e9)]
    return [la.Run(fake.write_model(folder / f"run {i}", model)) for i, model in enumerate(models)]


def test_a_run_shows_model_study_size_and_main_findings(runs):
    first, *lines = repr(runs[0]).splitlines()
    assert first == f"Run of hierarchy of <b>tiny</b> (24 blocks, 1 B parameters), size quick, in '{runs[0].folder}'"
    main = runs[0].main_findings
    assert lines[0] == f"  [{main['verdict'][0]}] {main['statement'][0]}"
    assert len(lines) == min(len(main), 9)


def test_a_run_in_a_notebook_has_its_main_chart_and_no_markup_of_its_data(runs):
    shown = runs[0]._repr_html_()
    assert "hierarchy of &lt;b&gt;tiny&lt;/b&gt; (24 blocks" in shown
    assert shown.count("<li>") == min(len(runs[0].main_findings), 9)
    assert re.search(r"<svg.*Levels by depth.*</svg>", shown, re.S)
    assert "<b>tiny" not in shown


def test_a_comparison_shows_its_models_findings_and_chart(runs, tmp_path):
    both = la.compare(runs, out=tmp_path / "both")
    assert repr(both).startswith("Comparison of ")
    assert f"(hierarchy), size quick, in '{both.folder}'" in repr(both)
    assert f"[{both.findings['verdict'][0]}]" in repr(both)
    assert "<svg" in both._repr_html_()
    assert both.report_path.exists()


def test_a_folder_is_opened_as_what_it_is(runs, tmp_path):
    both = la.compare(runs, out=tmp_path / "both")
    assert isinstance(la.load(both.folder), la.Comparison)
    opened = la.load(str(runs[1].folder))
    assert isinstance(opened, la.Run)
    assert opened.findings.equals(runs[1].findings)
    unfinished = fake.write_model(tmp_path / "part", replace(MODEL, change={"status": "running"}))
    with pytest.raises(la.AtlasError, match="is not finished; expected a finished run; run it again to resume"):
        la.load(unfinished)
