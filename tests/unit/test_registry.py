"""Plug-ins by name: built in, from outside, and misspelt."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.data.task import Task
from layeratlas.probes import Probe
from layeratlas.probes.ridge import Ridge
from layeratlas.runs.study import Study


@pytest.fixture
def outside(monkeypatch):
    """Install another package's plug-ins: a probe of a new name and one that takes a built-in name."""

    def entry_points(group):
        here = {"layeratlas.probes": ["elsewhere", "svm"]}
        return [EntryPoint(name, "layeratlas.probes.ridge:PLUGIN", group) for name in here.get(group, [])]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    clear()
    yield
    monkeypatch.undo()
    clear()


def clear():
    registry._outside.cache_clear()
    registry.names.cache_clear()


def test_built_in_plug_ins_are_found_and_keep_their_contracts():
    assert set(registry.names("tasks")) >= {"items", "relations", "analogies"}
    assert set(registry.names("probes")) >= {"ridge", "svm"}
    assert "hierarchy" in registry.names("studies")
    for kind, contract in (("tasks", Task), ("probes", Probe), ("studies", Study)):
        found = registry.names(kind)
        assert found == sorted(found)
        assert all(isinstance(registry.get(kind, name), contract) for name in found)


def test_modules_with_an_underscore_are_no_plug_ins():
    assert not [name for kind in registry.KINDS for name in registry.names(kind) if name.startswith("_")]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("tasks", "relation", r"no task named 'relation'; expected one of .*relations.*; did you mean 'relations'\?"),
        ("probes", "rigde", r"no probe named 'rigde'; expected one of .*; did you mean 'ridge'\?"),
        ("studies", "hierarchies", r"no study named 'hierarchies'; .* did you mean 'hierarchy'\?"),
        ("tasks", "qqqqqq", r"no task named 'qqqqqq'; .*; 'layeratlas list tasks' shows them all"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(kind, name, message):
    with pytest.raises(SpecError, match=message):
        registry.get(kind, name)


@pytest.mark.usefixtures("outside")
def test_an_entry_point_plugs_in():
    assert "elsewhere" in registry.names("probes")
    assert isinstance(registry.get("probes", "elsewhere"), Ridge)
    assert "elsewhere" not in registry.names("tasks")


@pytest.mark.usefixtures("outside")
def test_a_plug_in_of_another_package_goes_before_a_built_in_one_and_is_listed_once():
    assert registry.names("probes").count("svm") == 1
    assert isinstance(registry.get("probes", "svm"), Ridge)


def test_without_that_package_its_name_is_unknown():
    with pytest.raises(SpecError, match="no probe named 'elsewhere'"):
        registry.get("probes", "elsewhere")
