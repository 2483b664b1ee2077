"""What reads folders of runs: `report`, `figures`, `index`, `status`, `share`, `tensorboard`, `compare`, `claims`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layeratlas.cli.errors import one_line
from layeratlas.cli.flags import FamilyOption, QuietOption, StepOption, families, steps
from layeratlas.cli.terminal import make_progress

if TYPE_CHECKING:
    import polars as pl


def report(folder: Annotated[Path, typer.Argument(help="The folder of a run or of a comparison.")]) -> None:
    """Rebuild report.html of a run from its tables alone; figures that were drawn before are drawn again."""
    with one_line():
        from layeratlas import api

        print(api.report(folder))


def figures(folder: Annotated[Path, typer.Argument(help="The folder of a run or of a comparison.")]) -> None:
    """Draw the charts of a report as SVG and PNG files, in the folder figures of the run.

    \b
    layeratlas figures runs/mine
    """
    with one_line():
        from layeratlas import api

        print(api.figures(folder))


def index(folder: Annotated[Path, typer.Argument(help="A folder that holds folders of runs, such as runs.")]) -> None:
    """List all runs below a folder on one page that sorts and filters: their maps, options and failures.

    \b
    layeratlas index runs
    """
    with one_line():
        from layeratlas import api

        print(api.index(folder))


def status(
    folder: Annotated[str, typer.Argument(help="The folder of a run, or one above, or s3://BUCKET/NAME (gs, az).")],
) -> None:
    """Show how far runs are: what is done, what is computed now and its time left, first curves, and what is to come.

    \b
    layeratlas status runs/mine
    layeratlas status s3://my-bucket/first
    """
    with one_line():
        from layeratlas import api

        print(api.status(folder))


def share(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write. Default: FOLDER-shared.")] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Include your own texts, labels and prompts.")] = False,
    upload: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload it to this dataset of the Hugging Face hub.")
    ] = None,
) -> None:
    """Write a finished run as a folder to publish: tables, report, figures and a dataset card.

    \b
    layeratlas share runs/mine
    """
    with one_line():
        from layeratlas import api

        shared = api.share(folder, out, texts=texts, upload=upload)
        print(api.shared_contents(shared))
        print(shared)


def tensorboard(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run, or of a comparison over training.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write. Default: FOLDER-tensorboard.")] = None,
) -> None:
    """Write the curves of a finished run as TensorBoard event files; a step is a layer, or a training step.

    \b
    layeratlas tensorboard runs/mine
    """
    with one_line():
        from layeratlas import api

        print(api.tensorboard(folder, out))


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs, each of another model.")],
    out: Annotated[
        Path | None, typer.Option(help="The comparison's folder. Default: runs/compare-STUDY-MODELS.")
    ] = None,
    family: FamilyOption = None,
    step: StepOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare runs of several models on the same texts: one page of differences, similarity, sizes, training, claims.

    Runs need the same study, size, texts, settings and library versions; a run that differs is refused, with the
    command that repeats it. Runs of several studies are compared study by study.

    \b
    layeratlas compare runs/one runs/other
    layeratlas compare runs/small runs/middle runs/large --family mine=runs/
    """
    with one_line():
        from layeratlas import api

        named, at = families(family or []), steps(step or [])
        comparison = api.compare(folders, out=out, families=named, steps=at, progress=make_progress(quiet))
        if not quiet:
            print(comparison.summary())
        print(comparison.report_path)


def claims(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs, of any studies and models.")],
    family: FamilyOption = None,
) -> None:
    """Judge every published claim on finished runs: what was published, what is found here, and the verdict.

    Claims that rest on no finding of these runs are listed by the command that would decide them.

    A claim that compares models reads comparable runs only: the same texts, size, settings and versions.
    """
    with one_line():
        from layeratlas.api.folders import folder_path
        from layeratlas.comparison.claims import judge_claims
        from layeratlas.runs.claim import rested
        from layeratlas.runs.finished import read_run

        named = families(family or [])
        runs = [read_run(folder_path(folder)).in_family(named) for folder in folders]
        judged, others = rested(judge_claims(runs))
        for row in judged.iter_rows(named=True):
            print(f"{row['claim']:<5} [{row['verdict']}] {row['says']}")
            print(f"      published: {row['published']} ({row['citation']})")
            print(f"      here:      {row['here']}")
            if row["to decide it"]:
                print(f"      to decide: {row['to decide it']}")
        if len(others):
            print(f"{len(others)} more claims need other runs; what decides them:")
        for asked, names in _by_command(others).items():
            print(f"      {asked}: {', '.join(names)}")


def _by_command(table: pl.DataFrame) -> dict[str, list[str]]:
    """Return the names of the claims that these runs say nothing of, by the command that decides them."""
    named: dict[str, list[str]] = {}
    for row in table.iter_rows(named=True):
        reason = row["here"].removeprefix("Not judged").strip(": .") if row["here"].startswith("Not judged") else ""
        named.setdefault(f"{row['to decide it']}{f' ({reason})' if reason else ''}", []).append(row["claim"])
    return named
