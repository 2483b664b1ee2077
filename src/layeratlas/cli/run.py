"""`layeratlas run`: a study, or all of them, on one model or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layeratlas.cli.flags import (
    MODEL,
    AdapterOption,
    AttentionOption,
    BosOption,
    ChatOption,
    ChatOptionsOption,
    DeviceOption,
    DtypeOption,
    MemoryOption,
    QuietOption,
    RemoteOption,
    RevisionOption,
    SystemOption,
    WeightsOption,
    chat_options,
    one_line,
    settings,
)
from layeratlas.cli.terminal import make_progress
from layeratlas.core.spec import DEFAULT_MODEL


def run(
    study: Annotated[
        str,
        typer.Argument(help="The study, such as 'hierarchy' ('layeratlas list studies'), or 'atlas': all of them."),
    ],
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help=f"{MODEL} Repeatable: one run per model.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder. Default: runs/STUDY-MODEL-SIZE, with tasks or files named."),
    ] = None,
    size: Annotated[str, typer.Option(help="How many texts: quick (minutes), standard or full.")] = "standard",
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task; repeatable ('layeratlas list tasks').")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Your own texts: CSV, JSONL or Parquet with columns text, label and (optional) group."),
    ] = None,
    probe: Annotated[
        list[str] | None, typer.Option(help="Only this probe; repeatable. Default: ridge and svm.")
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(
            help="last (default: the last token), mean (without position 0), span:NAME; in a chat also turn or answer."
        ),
    ] = None,
    component: Annotated[
        list[str] | None, typer.Option(help="Only resid, attn or mlp; repeatable. Default: all three.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Folds of the grouped cross-validation.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of the cross-validation.")] = None,
    shuffles: Annotated[int | None, typer.Option(help="Label shuffles for the control.")] = None,
    svm_c: Annotated[float | None, typer.Option(help="The SVM's C, the same at every layer. Default: 1.")] = None,
    pca: Annotated[int | None, typer.Option(help="Principal components to probe. Default: all features.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, a setting of the study ('layeratlas list settings'); repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of folds, shuffles and bootstrap. Default: 0.")] = None,
    bad_rows: Annotated[
        str | None,
        typer.Option(help="refuse (default) or drop: what happens to malformed rows of your own texts."),
    ] = None,
    bos: BosOption = None,
    revision: RevisionOption = None,
    dtype: DtypeOption = None,
    attention: AttentionOption = None,
    device: DeviceOption = None,
    weights: WeightsOption = None,
    memory: MemoryOption = None,
    adapter: AdapterOption = None,
    chat: ChatOption = False,
    system: SystemOption = None,
    chat_option: ChatOptionsOption = None,
    trust_remote_code: RemoteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a study on a model and write its report.

    A run is a folder; the same command again resumes it, and does nothing where all is done. An option that a study
    does not use is refused.

    \b
    layeratlas run hierarchy --size quick
    layeratlas run hierarchy --model Qwen/Qwen3-0.6B --out runs/qwen
    layeratlas run hierarchy --data my_texts.csv
    layeratlas run atlas --model Qwen/Qwen3-0.6B
    layeratlas list settings exits
    """
    with one_line():
        from layeratlas.api.options import make_atlas_specs, make_spec
        from layeratlas.api.results import folder_path
        from layeratlas.api.running import run_atlas, run_spec
        from layeratlas.runs.pipeline import default_folder

        options = {
            "tasks": task,
            "data": data,
            "probe": probe,
            "position": position,
            "components": component,
            "folds": folds,
            "repeats": repeats,
            "shuffles": shuffles,
            "svm_c": svm_c,
            "pca": pca,
            "settings": settings(set_ or []),
            "seed": seed,
            "bad_rows": bad_rows,
            "bos": bos,
            "revision": revision,
            "dtype": dtype,
            "attention": attention,
            "device": device,
            "weights": weights,
            "memory": memory,
            "adapter": adapter,
            "chat": chat,
            "system": system,
            "chat_options": chat_options(chat_option or []),
            "trust_remote_code": trust_remote_code,
        }
        for name in model or [DEFAULT_MODEL]:
            whole = study == "atlas"
            specs = make_atlas_specs(name, size, options) if whole else [make_spec(study, name, size, options)]
            folder = folder_path(out) if out else None
            if out and len(model or ()) > 1:
                folder = folder_path(out) / default_folder(specs[0].model_copy(update={"study": study})).name
            progress = make_progress(quiet)
            result = run_atlas(specs, folder, progress) if whole else run_spec(specs[0], folder, progress)
            if not quiet:
                print(result.summary())
            print(result.report_path)
