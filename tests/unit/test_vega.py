"""The charts' specs are those of the Vega-Lite that draws them, and the chart library is kept only as it was made."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema
from jsonschema import ValidationError

import fake_run
from fake_run import Fake
from layeratlas.core.cache import cache_root
from layeratlas.report import library, page, vega
from layeratlas.report.inputs import checked_run
from layeratlas.report.names import names_of
from layeratlas.report.view import prepare
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY

SCHEMA = alt.load_schema()


def test_the_version_is_that_of_altair_and_can_be_drawn() -> None:
    assert alt.SCHEMA_URL == vega.SCHEMA_URL
    assert vega.SCHEMA_URL.split("/")[-1].startswith(f"v{vega.VERSION}.")
    assert vega.VERSION in vl_convert.get_vegalite_versions()


def test_every_chart_of_the_curves_fits_the_schema(tmp_path: Path) -> None:
    run = checked_run(fake_run.write_run(tmp_path, Fake(layers=3)))
    view = prepare(run.curves, run.blocks, names_of(run, HIERARCHY))
    for spec in page._chart_data(view, [])["specs"].values():
        validate_jsonschema(spec, SCHEMA)
    # The control: a property that Vega-Lite does not have is found.
    with pytest.raises(ValidationError, match="hight"):
        validate_jsonschema({**vega.chart(vega.NamedData("rows")).mark_line().to_dict(), "hight": 100}, SCHEMA)


def test_a_chart_is_written_as_altair_writes_it() -> None:
    """Each method against Altair's own, but for defaults that Altair adds."""
    rows = [{"a": 1, "b": "x"}]

    def drawn(module, chart, **data):
        x = module.X("a:Q", title=None, scale=module.Scale(zero=False))
        base = chart.mark_line(color="red").encode(x=x, x2="b:Q", tooltip=["b:N"], opacity=module.value(1))
        base = base.transform_filter("datum.a > 0").transform_calculate(c="datum.a", d="2")
        base = base.transform_aggregate(groupby=["b"], m="mean(a)").add_params(module.param(name="p", value=1))
        return base.properties(width=module.Step(3), title=module.TitleParams("t", limit=2)).to_dict()

    ours = drawn(vega, vega.chart(vega.Data(rows)))
    theirs = drawn(alt, alt.Chart(alt.InlineData(rows)))
    theirs["data"] = {"values": theirs.pop("datasets")[theirs["data"]["name"]]}
    del theirs["config"]
    assert ours == theirs


def test_a_chart_that_more_is_added_to_stays_as_it_was() -> None:
    base = vega.chart(vega.NamedData("rows")).mark_line().encode(x="a:Q").transform_filter("true")
    before = repr(base)
    base.encode(y="b:Q").transform_filter("false").add_params(vega.param("p", 1)).properties(width=3)
    assert repr(vega.layer(base, base)) != before == repr(base)


@pytest.mark.usefixtures("own_cache")
def test_the_library_is_bundled_once_and_again_where_it_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda vl_version: calls.append(vl_version) or "code")
    ask = library.library.__wrapped__
    assert ask() == ask() == "(() => {code})();"
    assert len(calls) == 1
    (kept,) = (cache_root() / "charts").iterdir()
    kept.write_text(kept.read_text().replace("code", "evil"))
    assert ask() == "(() => {code})();"
    assert len(calls) == 2
    kept.unlink()
    kept.mkdir()
    (kept / "in the way").touch()
    assert ask() == "(() => {code})();"
