"""`layeratlas sweep`: many runs from one file, spread over workers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from layeratlas.cli.errors import one_line
from layeratlas.cli.flags import QuietOption
from layeratlas.cli.terminal import make_progress, watch

# The exit code of a sweep in which some runs failed.
_SOME_FAILED = 4
# Seconds between two looks of --status.
_LOOK = 2.0


def sweep(
    plan: Annotated[Path, typer.Argument(help="A TOML file: models, studies, tasks, seeds, settings.")],
    out: Annotated[str, typer.Option(help="The sweep's folder, or s3://BUCKET/NAME (gs, az).")],
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Workers at a time. Default: one per GPU, or one.")
    ] = None,
    on: Annotated[str, typer.Option(help="Where workers run: processes (default), ray or slurm.")] = "processes",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Cores per worker. Default: this machine's cores divided among the workers."),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs per worker. Default: one where this machine has any; 0: all share.")
    ] = None,
    memory: Annotated[float | None, typer.Option(help="GB of memory per worker, on Ray and Slurm.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed runs again.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show the status of every run, live at a terminal; start nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show every run with tokens, hours, weights and disk; start nothing.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Run every combination of models, studies, tasks, variants and seeds of a TOML file, and compare finished runs.

    The runs are in OUT/runs. The same command resumes a stopped sweep, and does nothing if all runs are finished. Exit
    code 4: some runs failed, OUT/index.html says why (with --dry-run: some would be refused).

    \b
    layeratlas sweep sweep.toml --out sweeps/first --dry-run
    layeratlas sweep sweep.toml --out sweeps/first --workers 2
    layeratlas sweep sweep.toml --out sweeps/first --status
    """
    with one_line():
        from layeratlas.api.places import place_of
        from layeratlas.sweeps.plan import demand_begun
        from layeratlas.sweeps.resources import Resources
        from layeratlas.sweeps.running import Sweep, spec_of
        from layeratlas.sweeps.running import sweep as run_sweep
        from layeratlas.sweeps.status import status_table
        from layeratlas.sweeps.units import units_of

        if status or dry_run:
            spec = spec_of(plan)
            known = Sweep(place_of(out), units_of(spec))
            if status:
                demand_begun(known.place)
                watch(partial(status_table, known), max(_LOOK, known.place.pause))
                return
            from layeratlas.sweeps.costs import dry_run as plan_costs

            costs = plan_costs(known)
            print(costs.text)
            if costs.refused:
                raise typer.Exit(_SOME_FAILED)
            return
        resources = Resources(workers=workers, on=on, threads=threads, gpus=gpus, memory=memory)
        result = run_sweep(plan, out=out, resources=resources, retry=retry, progress=make_progress(quiet))
        if not quiet:
            print(result.summary())
        print(result.index_path)
        if result.failed:
            raise typer.Exit(_SOME_FAILED)
