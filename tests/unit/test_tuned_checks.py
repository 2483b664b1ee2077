"""Files of translators are checked before any question is asked; each misfit is one line."""

from __future__ import annotations

import pytest

import layeratlas as la
from layeratlas.core.spec import RunSpec
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.study import PLUGIN

PASSAGES = [f"The {name} stood at the end of the road." for name in ("mill", "barn", "inn", "shop")]


def check(**settings):
    PLUGIN.check(RunSpec(study="exits"), ExitSettings(**settings), [])


@pytest.fixture
def passages(tmp_path):
    def write(count):
        path = tmp_path / f"{count}.txt"
        path.write_text("\n".join(PASSAGES[:count]), encoding="utf-8")
        return str(path)

    return write


def test_four_passages_are_enough_and_three_are_not(passages):
    check(tuned=True, tuned_on=passages(4))
    with pytest.raises(la.AtlasError, match="3 passages to fit translators on; expected 4 or more; use a longer file"):
        check(tuned=True, tuned_on=passages(3))


@pytest.mark.parametrize("name", ["tuned_on", "translators"])
def test_a_missing_file_is_told_before_the_run(name, tmp_path):
    with pytest.raises(la.AtlasError, match=r"no file|does not exist|there is no"):
        check(tuned=True, **{name: str(tmp_path / "none.txt")})


@pytest.mark.parametrize("name", ["tuned_on", "translators"])
def test_a_file_of_translators_without_tuned_exits_is_refused(name, passages):
    with pytest.raises(la.AtlasError, match=f"--set {name} without tuned=true; expected both; add --set tuned=true"):
        check(**{name: passages(4)})
