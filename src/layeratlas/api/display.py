"""The display of a run or comparison: as text, and as HTML in a notebook."""

from __future__ import annotations

import html
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

from layeratlas.core.formatting import in_words

MOST = 8


def lines_of(findings: pl.DataFrame, most: int | None = None) -> list[str]:
    """Return findings as `[verdict] statement`: at most `most`, followed by the number of the remaining ones.

    Where a finding is not supported, the verdict names what was tested.
    """
    rows = findings.head(most) if most else findings
    lines = [f"[{in_words(row['verdict'], row['tested'])}] {row['statement']}" for row in rows.iter_rows(named=True)]
    more = findings.height - rows.height
    return [*lines, *([f"... and {more} more in the report"] if more else [])]


def text_of(heading: str, findings: pl.DataFrame, most: int | None = MOST) -> str:
    """Return a heading and findings, one per line."""
    return "\n".join([heading, *(f"  {line}" for line in lines_of(findings, most))])


def html_of(heading: str, findings: pl.DataFrame, figure: str, report: Path) -> str:
    """Return a heading, findings, a figure (SVG, or empty) and the report's path as HTML."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines_of(findings, MOST))
    blocks = [f"<p><b>{html.escape(heading)}</b></p>", f"<ul>{items}</ul>" if items else "", figure]
    return "\n".join(block for block in [*blocks, f"<p><code>{html.escape(str(report))}</code></p>"] if block)


def figure_of(folder: Path, name: str) -> str:
    """Return a figure of a folder as SVG; empty if the folder does not have it."""
    path = folder / "figures" / f"{name}.svg"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[max(0, text.find("<svg")) :]


def map_width() -> int:
    """Return the columns of standard output: 80 if it is not a terminal, 0 if it cannot show the map's shades."""
    from layeratlas.report.text_map import SHADES

    try:
        SHADES.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return 0
    return shutil.get_terminal_size((80, 24)).columns
