"""`layeratlas run`: a study, or all of them, on one model or several."""

from __future__ import annotations

from typing import Annotated, Any, Unpack

import typer

from layeratlas.cli.errors import one_line
from layeratlas.cli.flags import MODEL, QuietOption, RunFlags, chat_options, settings, with_flags
from layeratlas.cli.terminal import make_progress
from layeratlas.core.spec import DEFAULT_MODEL


@with_flags(RunFlags)
def run(
    study: Annotated[
        str,
        typer.Argument(
            help="The study: hierarchy, exits, segments or causal ('layeratlas list studies'), or 'atlas': all four."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{MODEL} Repeatable: one run per model. A folder of checkpoints (step100, step1000 ...): a training.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="The run's folder, or s3://BUCKET/NAME (gs, az). Default: runs/STUDY-MODEL-SIZE, with tasks or files "
            "named."
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="How many texts: quick (minutes), standard or full.")] = "standard",
    quiet: QuietOption = False,
    **flags: Unpack[RunFlags],
) -> None:
    """Run a study on a model and write its report.

    A run is a folder. The same command resumes an interrupted run, and does nothing if the run is finished. An option
    that the study does not use is refused.

    \b
    layeratlas run hierarchy --size quick
    layeratlas run hierarchy --model Qwen/Qwen3-0.6B --out runs/qwen
    layeratlas run hierarchy --data my_texts.csv
    layeratlas run atlas --model Qwen/Qwen3-0.6B
    layeratlas run hierarchy --model EleutherAI/pythia-70m --revision step1 --revision step1000 --revision step143000
    layeratlas list settings exits
    """
    with one_line():
        from layeratlas.api.display import map_width
        from layeratlas.api.places import working_in
        from layeratlas.api.running import run_atlas, run_spec
        from layeratlas.api.specs import make_specs
        from layeratlas.core.steps import is_training
        from layeratlas.runs.pipeline import default_folder

        options: dict[str, Any] = {
            **flags,
            "settings": settings(flags["settings"] or []),
            "chat_options": chat_options(flags["chat_options"] or []),
        }
        revisions = options.pop("revision") or []
        if is_training(model or [], revisions):
            from layeratlas.sweeps.training import over_checkpoints, plan_of

            plan = plan_of(study, model or [DEFAULT_MODEL], revisions, size, options)
            compared = over_checkpoints(plan, out, make_progress(quiet))
            if not quiet:
                print(compared.summary())
            print(compared.report_path)
            return
        options["revision"] = revisions[0] if revisions else None
        for name in model or [DEFAULT_MODEL]:
            specs = make_specs(study, name, size, options)
            place = out
            if out and len(model or ()) > 1:
                place = f"{out}/{default_folder(specs[0].model_copy(update={'study': study})).name}"
            progress = make_progress(quiet)
            with working_in(place) as folder:
                result = (
                    run_atlas(specs, folder, progress) if study == "atlas" else run_spec(specs[0], folder, progress)
                )
            if not quiet:
                print(result.summary(map_width()))
            print(result.report_path)
