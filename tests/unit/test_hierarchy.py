"""The hierarchy study: what it declares, and which findings it draws from which curves."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

import planting
from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ProbeSpec, RunSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Probe
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.names import HierarchyFinding

STUDY = registry.get("studies", "hierarchy")


def test_the_study_names_every_probe_and_the_one_of_description_lengths():
    names = STUDY.method_names
    assert set(names) == {*registry.names("probes"), "logistic"}
    assert names["ridge"] == "Ridge"
    assert names["svm"] == "Linear SVM"


def test_a_probe_without_a_label_goes_by_its_name(monkeypatch):
    class Plain(Probe):
        def solve(self, gram, y):
            raise NotImplementedError

    get = registry.get
    monkeypatch.setattr(registry, "names", lambda kind: ["plain"])
    monkeypatch.setattr(registry, "get", lambda kind, name: Plain() if name == "plain" else get(kind, name))
    assert STUDY.method_names["plain"] == "plain"


def test_headlines_and_details_are_kinds_of_findings_once_each():
    for kinds in (STUDY.headlines, STUDY.details):
        assert len(set(kinds)) == len(kinds)
        assert set(kinds) <= set(HierarchyFinding)


def test_a_setting_that_does_not_fit_is_refused_with_its_description():
    assert STUDY.settings(mdl="true").mdl is True
    with pytest.raises(SpecError, match=r"the setting mdl='maybe' is invalid; expected true or false \(also measure"):
        STUDY.settings(mdl="maybe")


def test_numbers_need_a_probe_that_predicts_numbers():
    data = Dataset("sizes", "size", tuple(Item(f"t{i}", float(i), f"g{i}") for i in range(20)), kind="number")
    ridge, svm = (RunSpec(probe=ProbeSpec(methods=(name,))) for name in ("ridge", "svm"))
    STUDY.check(ridge, STUDY.settings(), [data])
    with pytest.raises(SpecError, match="sizes has numbers to predict, which svm cannot"):
        STUDY.check(svm, STUDY.settings(), [data])


def test_a_quick_run_reads_few_words():
    """Long texts take most of its time: with all buried levels it would read 43,000 words."""

    def words(size: str) -> int:
        data = [data for task in STUDY.tasks for data in registry.get("tasks", task).build(size)]
        return sum(len(text.split()) for text in {text for each in data for text in each.texts})

    assert words("quick") < 30_000 < words("standard")


def test_the_svm_runs_from_size_standard_on():
    assert STUDY.probe_spec("quick").methods == ("ridge",)
    assert all(STUDY.probe_spec(size).methods == ("ridge", "svm") for size in ("standard", "full"))


def test_the_methods_text_names_the_svm_only_where_it_ran():
    texts = {
        size: dict(STUDY.methods({"spec": RunSpec(probe=STUDY.probe_spec(size)).model_dump(mode="json")}))["Probes"]
        for size in ("quick", "standard")
    }
    assert "SVM" not in texts["quick"]
    assert texts["quick"].endswith("on training folds.")
    assert texts["standard"].endswith("on training folds, the SVM has C = 1 at every layer.")


def test_c_is_refused_where_the_svm_does_not_run():
    quick, standard = (STUDY.probe_spec(size).model_copy(update={"svm_c": 0.1}) for size in ("quick", "standard"))
    with pytest.raises(SpecError, match=r"svm_c=0.1 is given to a run of ridge alone; .*; add --probe ridge"):
        STUDY.check(RunSpec(probe=quick), STUDY.settings(), [])
    STUDY.check(RunSpec(probe=standard), STUDY.settings(), [])


def curves_of(*levels: str, decoded: bool = True, **fields: str):
    """One curve per level and one per its only task, by both probes; each level has a hump somewhat deeper."""
    curves = []
    for i, level in enumerate(levels):
        height = 0.4 if decoded else 0.0
        hump = 0.5 + height * np.exp(-(((np.arange(13) - 2 - 2 * i) / 1.5) ** 2))
        for task in ("all", f"task of {level}"):
            for method in ("ridge", "svm"):
                curves.append(planting.drawn_curve(hump, level=level, task=task, method=method, **fields))
    return curves


def kinds_of(curves) -> Counter:
    return Counter(finding.finding for finding in find(curves, planting.PHRASING))


def test_peaks_are_those_of_every_probe_and_claims_those_of_the_first():
    findings = find(curves_of("item", "relation", "analogy"), planting.PHRASING)
    assert {f.method for f in findings if f.finding == HierarchyFinding.PEAK} == {"ridge", "svm"}
    assert {f.method for f in findings if f.finding != HierarchyFinding.PEAK} == {"ridge"}
    assert Counter(f.finding for f in findings) == {
        HierarchyFinding.PEAK: 6,
        HierarchyFinding.EMERGENCE: 3,
        HierarchyFinding.EMERGENCE_ORDER: 2,
        HierarchyFinding.ORDER: 2,
        HierarchyFinding.DECLINE: 3,
        HierarchyFinding.SURFACE: 3,
        HierarchyFinding.SECOND_PEAK: 3,
        HierarchyFinding.COORDINATION: 1,
        HierarchyFinding.ANTI_PERSISTENCE: 1,
    }


def test_levels_that_do_not_decode_have_no_claims():
    assert kinds_of(curves_of("item", "relation", "analogy", decoded=False)) == {HierarchyFinding.PEAK: 6}


def test_every_component_has_claims_of_its_own():
    curves = [*curves_of("item", "relation"), *curves_of("item", "relation", component="attn")]
    orders = [f.component for f in find(curves, planting.PHRASING) if f.finding == HierarchyFinding.ORDER]
    assert orders == ["resid", "attn"]


def test_levels_outside_the_hierarchy_are_ordered_only_where_none_is_inside():
    def orders(*levels):
        return [f.level for f in find(curves_of(*levels), planting.PHRASING) if f.finding == HierarchyFinding.ORDER]

    assert orders("item", "grammar", "relation") == ["item < relation"]
    assert orders("tone", "mood") == ["tone < mood"]


def test_levels_that_reuse_targets_are_left_out_of_coordination():
    """They share sampling noise with the levels whose targets they reuse: two independent tasks are too few."""
    assert kinds_of(curves_of("item", "relation", "grammar"))[HierarchyFinding.COORDINATION] == 1
    assert kinds_of(curves_of("item", "relation", "buried item"))[HierarchyFinding.COORDINATION] == 0


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("height", [0.0, 0.02, 0.4])
def test_an_inconclusive_finding_never_reads_as_absence(spread, height):
    """A sentence with `not`, `no` or `none` says what could have been seen."""
    curves = []
    for i, level in enumerate(("item", "relation", "analogy", "buried item", "grammar")):
        hump = 0.5 + height * np.exp(-(((np.arange(13) - 2 - i) / 2.5) ** 2))
        plain = {"item": "animal", "buried item": "buried_animal"}.get(level, level)
        curves += [planting.drawn_curve(hump, spread, level=level, task=task) for task in ("all", plain)]
    findings = find(curves, planting.PHRASING)
    open_ones = [f.statement for f in findings if f.verdict == "inconclusive"]
    assert [s for s in open_ones if re.search(r"\b(not|no|none)\b", s, re.I) and "could have" not in s] == []
