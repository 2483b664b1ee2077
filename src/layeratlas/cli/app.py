"""The command line: its commands, one module for each group of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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
# The commands by what a user wants, in the order of the help.
_PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "Measure": {"run": run, "check": check, "sweep": sweep},
    "Finished runs": {
        "compare": compare,
        "claims": claims,
        "index": index,
        "status": status,
        "report": report,
        "figures": figures,
        "share": share,
        "tensorboard": tensorboard,
    },
    "Directions": {"direction": direction, "steer": steer},
    "Look up": {"list": list_names, "validate": validate},
}


def _in_paragraphs(text: str) -> str:
    """Return a docstring with each paragraph on one line, so that the help breaks it where the terminal ends.

    Blocks that are marked by a line with a backspace keep their lines.
    """
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(block if block.startswith("\b") else " ".join(block.split()) for block in blocks)


for panel, commands in _PANELS.items():
    for name, command in commands.items():
        app.command(name, help=_in_paragraphs(command.__doc__ or ""), rich_help_panel=panel)(command)


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
