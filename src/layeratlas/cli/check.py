"""`layeratlas check`: can this model be measured? `layeratlas validate`: does the analysis recover what is planted?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Unpack

import typer

from layeratlas.cli.errors import one_line
from layeratlas.cli.flags import MODEL, ModelFlags, QuietOption, chat_options, with_flags
from layeratlas.cli.terminal import make_progress
from layeratlas.core.spec import DEFAULT_MODEL, check_size


@with_flags(ModelFlags)
def check(
    model: Annotated[str, typer.Option("--model", "-m", help=MODEL)] = DEFAULT_MODEL,
    plan: Annotated[bool, typer.Option("--plan", help="Plan from the config alone, without reading weights.")] = False,
    **flags: Unpack[ModelFlags],
) -> None:
    """Load a model, show its anatomy, the identity self-tests with their errors, and the cost of a run."""
    with one_line():
        from layeratlas.api.specs import make_model_spec
        from layeratlas.planning.check import describe

        options = {**flags, "chat_options": chat_options(flags["chat_options"] or [])}
        print(describe(make_model_spec(model, options), plan_only=plan))


def validate(
    runs: Annotated[
        int,
        typer.Option(
            min=1, help="Number of simulated runs of each of six kinds, and of simulations of each other rate."
        ),
    ] = 100,
    size: Annotated[str, typer.Option(help="How many texts a run has: quick, standard or full.")] = "quick",
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder to keep every simulation in. The same command then resumes.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Simulate data with a known structure, and print how often each verdict is right.

    Whole runs with peaks, order, second peaks and coordination, with some of these, and with none of them; curves,
    signals and scores for the verdicts of the other studies.

    A line fails (!) if its rate misses its bound significantly (p = 0.01 for each line, not for the table), or if the
    coverage of an interval is outside its bounds.
    """
    with one_line():
        from layeratlas.validation import validate as simulate

        print(f"{'planted':<60}{'finding':<34}{'hits':>7}{'trials':>8}{'rate':>8}  bound")
        for row in simulate(runs, check_size(size), make_progress(quiet), seed, out):
            limits = (row.at_least and f">= {row.at_least:g}", row.at_most < 1 and f"<= {row.at_most:g}")
            bound = " and ".join(limit for limit in limits if limit) + ("" if row.passed else "  !")
            print(f"{row.planted:<60}{row.finding:<34}{row.hits:>7}{row.trials:>8}{row.rate:>8.3f}  {bound}")
