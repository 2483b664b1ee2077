"""A notebook's page shows its prose, its code and what the cells give; committed pages are those of the notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import script

ROOT = Path(__file__).parents[2]
NOTEBOOK = """# ---
# jupyter: {}
# ---

# %% [markdown]
# # A title
#
# Some prose.

# %%
import altair as alt

print("said")
x = [1, 2]
x

# %%
alt.Chart(alt.Data(values=[{"a": 1}])).mark_point().encode(x="a:Q")

# %%
y = dict(model="path/to/model", n=x[1])
"""


pages = script("tools/notebook_pages.py")


def test_a_page_has_the_prose_the_code_and_what_each_cell_gives(tmp_path: Path) -> None:
    (tmp_path / "my_notes.py").write_text(NOTEBOOK)
    page = pages.write_page(tmp_path / "my_notes.py", tmp_path / "out")
    assert page.name == "notebook-my-notes.md"
    parts = page.read_text().split("\n\n```")
    text = page.read_text()
    assert text.startswith("# A title\n\nSome prose.\n\n```py\nimport altair as alt\n")
    assert "```text\nsaid\n```\n\n```text\n[1, 2]\n```\n" in text
    assert "![The chart of the cell above](notebook-my-notes-1.png)" in text
    assert (page.parent / "notebook-my-notes-1.png").read_bytes().startswith(b"\x89PNG")
    assert 'y = dict(model="smollm2-135m", n=x[1])\n```\n\n*Made from' in text  # an assignment shows nothing
    assert len(parts) == 6


def test_a_cell_that_fails_writes_no_page(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("# ---\n\n# %%\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        pages.write_page(tmp_path / "bad.py", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("notebook-*.md")), ids=lambda page: page.name)
def test_a_committed_page_has_the_cells_of_its_notebook_and_small_pictures(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    source = ROOT / "notebooks" / f"{page.stem.removeprefix('notebook-').replace('-', '_')}.py"
    cells = pages.cells_of(source.read_text(encoding="utf-8"))
    assert re.findall(r"```py\n(.*?)\n```", text, re.S) == [cell.text for cell in cells if cell.is_code]
    assert all(cell.text in text for cell in cells)
    shown = set(re.findall(r"\]\((notebook-[\w-]+\.png)\)", text))
    assert shown == {path.name for path in (ROOT / "docs").glob(f"{page.stem}-*.png")}
    assert all((ROOT / "docs" / name).stat().st_size <= 300_000 for name in shown)
