"""The command line: its commands, one module for each group of them."""

from __future__ import annotations

from typing import Annotated

import typer

from layeratlas.cli.check import check, validate
from layeratlas.cli.directing import direction, steer
from layeratlas.cli.finished import claims, compare, figures, index, report, share, status, tensorboard
from layeratlas.cli.lists import list_names
from layeratlas.cli.run import run
from layeratlas.cli.sweep import sweep

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "What each layer of a causal language model encodes: probes with intervals, controls and nulls.\n\n"
        "Start with: layeratlas run hierarchy --size quick"
    ),
)
app.command()(run)
app.command()(sweep)
app.command()(report)
app.command()(figures)
app.command()(compare)
app.command()(index)
app.command()(status)
app.command()(share)
app.command()(tensorboard)
app.command()(claims)
app.command()(direction)
app.command()(steer)
app.command("list")(list_names)
app.command()(check)
app.command()(validate)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(f"layeratlas {version_of('layeratlas')}")
        raise typer.Exit()


def main() -> None:
    """Run the command line."""
    app()
