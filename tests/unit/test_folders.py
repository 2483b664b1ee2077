"""Paths of folders that a user gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from layeratlas.api.folders import folder_path
from layeratlas.api.places import place_of
from layeratlas.runs.place import FolderPlace


@pytest.mark.parametrize("given", ["~/x", Path("~/x")])
def test_a_tilde_is_the_home_folder_as_in_paths_of_models_and_texts(given, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_path(given) == tmp_path / "x"
    place = place_of(given)
    assert isinstance(place, FolderPlace)
    assert place.folder == tmp_path / "x"


@pytest.mark.parametrize("given", ["x/~", "./~", "~nobody-of-this-name/x"])
def test_other_tildes_stay(given):
    assert folder_path(given) == Path(given)
