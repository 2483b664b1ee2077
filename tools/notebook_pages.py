"""Run notebooks and write each as a page of the documentation, with what its cells show.

    python tools/notebook_pages.py notebooks/first_map.py notebooks/choose_a_layer.py [--out docs]

The built-in model takes the place of `path/to/model`. Writes OUT/notebook-NAME.md and a PNG for each chart. Runs are
made in a temporary folder, or in --work, where a second call finds them finished.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert

from layeratlas.core.files import write_atomic
from layeratlas.core.spec import DEFAULT_MODEL

NAMED, BUILT_IN = '"path/to/model"', f'"{DEFAULT_MODEL}"'
_SCALE = 1.25


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a notebook: prose in Markdown, or Python."""

    is_code: bool
    text: str


def cells_of(source: str) -> list[Cell]:
    """Return the cells of a notebook in the percent format, without its header; the built-in model is used."""
    cells = []
    for part in source.split("\n# %%")[1:]:
        if part.startswith(" [markdown]"):
            lines = [line.removeprefix("#").removeprefix(" ") for line in part.splitlines()[1:]]
            cells.append(Cell(is_code=False, text="\n".join(lines).strip()))
        else:
            cells.append(Cell(is_code=True, text=part.replace(NAMED, BUILT_IN).strip()))
    return cells


def shown(cells: list[Cell], name: str) -> Iterator[str | bytes]:
    """Run the cells in the working directory; yield the page's parts in order, a chart as the bytes of a PNG."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if not cell.is_code:
            yield cell.text
            continue
        yield f"```py\n{cell.text}\n```"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            value = _value(cell.text, names, name)
        if printed.getvalue().strip():
            yield f"```text\n{printed.getvalue().rstrip()}\n```"
        if hasattr(value, "to_dict") and hasattr(value, "to_html"):
            yield vl_convert.vegalite_to_png(value.to_dict(), scale=_SCALE)
        elif value is not None:
            yield f"```text\n{value!r}\n```"


def _value(code: str, names: dict[str, Any], name: str) -> Any:
    """Run a cell and return the value of its last line, if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return eval(compile(ast.Expression(last.value), name, "eval"), names) if last else None  # type: ignore[attr-defined]


def write_page(notebook: Path, out: Path) -> Path:
    """Run a notebook in the working directory and write its page and pictures into a folder."""
    name = f"notebook-{notebook.stem.replace('_', '-')}"
    parts, pictures = [], 0
    for part in shown(cells_of(notebook.read_text(encoding="utf-8")), notebook.name):
        if isinstance(part, bytes):
            pictures += 1
            write_atomic(out / f"{name}-{pictures}.png", part)
            parts.append(f"![The chart of the cell above]({name}-{pictures}.png)")
        else:
            parts.append(part)
    parts.append(f"*Made from `notebooks/{notebook.name}` by `tools/notebook_pages.py`, on the built-in model.*")
    write_atomic(out / f"{name}.md", ("\n\n".join(parts) + "\n").encode())
    return out / f"{name}.md"


def main() -> None:
    """Write the pages of the notebooks that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    notebooks, out = [path.resolve() for path in given.notebooks], given.out.resolve()
    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        os.chdir(work)
        for notebook in notebooks:
            print(write_page(notebook, out))


if __name__ == "__main__":
    main()
