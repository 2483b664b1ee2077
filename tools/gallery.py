"""Write the gallery of the documentation from finished runs and comparisons: a section for each, with its picture.

    python tools/gallery.py RUN ... [--out docs]

Writes OUT/gallery.md and one PNG per run below 300 KB. Nothing is computed: figures, findings and layers are those of
the runs, with the command that repeats each of them. `make gallery` makes the runs first.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import vl_convert

import layeratlas as la
from layeratlas.api.folders import study_of
from layeratlas.api.public import has_own_texts
from layeratlas.comparison.headlines import headlines as of_comparison
from layeratlas.core import formatting
from layeratlas.core.errors import SpecError
from layeratlas.core.files import write_atomic
from layeratlas.report.lead import headlines
from layeratlas.report.overview import overview
from layeratlas.runs.comparable import command_of
from layeratlas.runs.published import Published
from layeratlas.runs.recommendation import FILE as RECOMMENDATIONS
from layeratlas.runs.recommendation import summary_lines

# The figure that shows most of a run, in order of preference, with its words for readers who do not see it.
FIGURES = {
    "map": "map of levels by layer",
    "segments": "segments and their boundaries by layer",
    "encoded-used": "what is encoded, and what is used, by layer",
    "atlas": "maps of all models on one axis of depth",
}
# Where the models come from that have been shown, and what was learned from them. Numbers are left to the findings.
ABOUT = {
    "smollm2-135m": """The built-in model, SmolLM2-135M-Instruct. It shows the hierarchy of the published papers by
emergence: item properties first, then two-item relations, then four-item analogies. By peaks the order is undecided,
because the curves stay on a plateau after they have risen. What is encoded is not yet used: a probe reads most labels
from the first third of the depth on, while the answers need them only from six tenths on. Answers come late, too:
facts are answered from eight tenths of the depth on. The few questions of this size leave all other abilities
undecided after the correction over all findings of the report; a run of standard size asks more of them.
""",
    "stories260K": """The smallest of Karpathy's TinyLlamas (MIT), trained on children's stories alone. Little can be
read from it, and the report says so: most verdicts are that there is no effect, or that these texts cannot decide.
""",
}
SHADE = """*The shade is the gain over chance and shuffled labels, as a share of the largest gain of all models; white
where a level is not shown to be encoded. Dot: the largest gain.*"""
# Comparisons show as many findings as a run's report does first.
MOST_FINDINGS = 5
MOST_BYTES = 300_000
WIDTHS = (1200, 1000, 800, 600, 400)
HEAD = """# Gallery

Maps of real models, made by `make gallery` from finished runs. Each picture is the run's own figure, and each sentence
one of its findings with its verdict and numbers. *Not supported* names what was tested; the sentence says what was
found instead. *Inconclusive* means that these texts cannot decide. The command below each run repeats it.
"""


def picture(folder: Path, target: Path) -> str:
    """Write a run's main figure as a PNG of at most MOST_BYTES and return its words; '' if it has none."""
    for name, words in FIGURES.items():
        drawn = folder / "figures" / f"{name}.svg"
        if drawn.is_file():
            svg = drawn.read_text(encoding="utf-8")
            width = float(re.search(r'<svg[^>]* width="([\d.]+)"', svg)[1])  # type: ignore[index]
            tries = (vl_convert.svg_to_png(svg, scale=most / width) for most in WIDTHS)
            write_atomic(target, next(png for png in tries if len(png) <= MOST_BYTES))
            return words
    return ""


def published_of(run: la.Run) -> Published:
    """Return what the study of a run lists as publishable."""
    study = study_of(run)
    return study.published if study else Published()


def slug(*names: str) -> str:
    """Return names as one file name."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")


def bullets(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    """Yield findings as lines of a list, marked up as plain text."""
    for row in rows:
        statement = re.sub(r"([*_<`|])", r"\\\1", str(row["statement"]))
        yield f"- *{formatting.in_words(str(row['verdict']), str(row['tested']))}*: {statement}"


def of_run(run: la.Run, out: Path) -> Iterator[str]:
    """Yield the lines of a run: its picture, first findings, layers to use and command."""
    name = f"gallery-{slug(run.model, run.study)}.png"
    if not any((run.folder / "figures").glob("*.svg")):
        run.draw_figures()  # a study without curves draws nothing with its report
    words = picture(run.folder, out / name)
    spec = run.manifest["spec"]
    yield f"### {run.study.capitalize()} of {run.model}"
    if words:
        yield f"![{run.model}: {words}]({name})"
    yield "\n".join(bullets(headlines(overview(run.findings, study_of(run)))))
    if (run.folder / RECOMMENDATIONS).is_file():
        yield "\n".join(f"- {line}" for line in summary_lines(run.recommendations))
    shown = run.model if run.manifest["model"].get("source") == "directory" else spec["model"]["id"]
    yield f"`{command_of(run, shown)}`: {run.findings.height} findings in its report."


def of_models(comparison: la.Comparison, out: Path) -> Iterator[str]:
    """Yield the lines of a comparison: its picture and first findings."""
    models = ", ".join(comparison.models)
    name = f"gallery-{slug('compared', *comparison.models)}.png"
    yield f"## {models} compared"
    words = picture(comparison.folder, out / name)
    if words:
        yield f"![{models}: {words}]({name})"
        yield SHADE
    yield "\n".join(bullets(of_comparison(comparison.findings)[0][:MOST_FINDINGS]))


def page(runs: Sequence[la.Run], comparisons: Sequence[la.Comparison], out: Path) -> str:
    """Return the gallery's page and write its pictures into a folder; raises SpecError without a run."""
    if not runs:
        raise SpecError("no run is given", "folders of finished runs", "make gallery")
    own = next((run for run in runs if has_own_texts(run.manifest, published_of(run))), None)
    if own is not None:
        raise SpecError(f"'{own.folder}' read texts of your own", "runs of built-in tasks", "leave it out")
    kinds = [(run.model, run.study) for run in runs]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise SpecError(f"two runs are of {twice[1]} on {twice[0]}", "one run per model and study", "leave one out")
    parts = [HEAD.strip()]
    for model in dict.fromkeys(run.model for run in runs):
        same = [run for run in runs if run.model == model]
        info = same[0].manifest["model"]
        size = formatting.size(info.get("parameters"))
        parts.append(f"## {model}")
        about = f"{info['family']}, {info['layers']} blocks, width {info['width']}, {size} parameters."
        parts.append(f"{about[0].upper()}{about[1:]} {ABOUT.get(model, '')}".strip())
        parts += [line for run in same for line in of_run(run, out)]
    parts += [line for comparison in comparisons for line in of_models(comparison, out)]
    versions = dict.fromkeys(
        f"{name} {version}"
        for run in runs
        for name, version in run.manifest["versions"].items()
        if name in ("layeratlas", "torch", "transformers")
    )
    parts.append(f"Versions: {', '.join(versions)}.")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page of the folders that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    given = parser.parse_args()
    opened = [la.load(folder) for folder in given.folders]
    runs = [each for each in opened if isinstance(each, la.Run)]
    comparisons = [each for each in opened if isinstance(each, la.Comparison)]
    write_atomic(given.out / "gallery.md", page(runs, comparisons, given.out).encode())
    print(given.out / "gallery.md")


if __name__ == "__main__":
    main()
