"""The command line: flags become a spec, errors become one line and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from layeratlas.cli.flags import families, one_line, settings, spec_of
from layeratlas.cli.terminal import make_progress
from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec, RunSpec

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

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="Hub id, local directory, .gguf file or built-in alias.")
]
DtypeOption = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
WeightsOption = Annotated[
    str, typer.Option(help="resident, streamed (a few blocks in memory at a time) or auto (streamed if too large).")
]
MemoryOption = Annotated[float | None, typer.Option(help="GB that the model may take. Default: what is free.")]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PART: models with PART in their name or folder are of the family NAME; repeat."),
]
RemoteOption = Annotated[bool, typer.Option("--trust-remote-code", help="Let the model's repository run its own code.")]


@app.command()
def run(
    study: Annotated[
        str, typer.Argument(help="The study, such as 'hierarchy' ('layeratlas list studies'), or 'atlas': all three.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Hub id, local directory, .gguf file or alias; repeat for several models."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder. Default: runs/STUDY-MODEL-SIZE, and tasks or files named.")
    ] = None,
    size: Annotated[str, typer.Option(help="quick (minutes), standard or full: how many texts.")] = "standard",
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeat ('layeratlas list tasks').")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Your own texts: CSV, JSONL or Parquet with columns text, label and (optional) group."),
    ] = None,
    probe: Annotated[list[str] | None, typer.Option(help="Only this probe; repeat. Default: ridge and svm.")] = None,
    position: Annotated[str, typer.Option(help="last (last token), mean (without position 0) or span:NAME.")] = "last",
    folds: Annotated[int | None, typer.Option(help="Parts of the grouped cross-validation.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of the cross-validation.")] = None,
    shuffles: Annotated[int | None, typer.Option(help="Label shuffles for the control.")] = None,
    svm_c: Annotated[float | None, typer.Option(help="The SVM's C, the same at every layer. Default: 1.")] = None,
    pca: Annotated[int | None, typer.Option(help="Probe so many principal components instead of all features.")] = None,
    bos: Annotated[str, typer.Option(help="auto (one BOS where the tokenizer has one) or never.")] = "auto",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, a setting of the study; repeat (see its page).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, shuffles and bootstrap.")] = 0,
    revision: Annotated[str | None, typer.Option(help="Hub revision of the model.")] = None,
    dtype: DtypeOption = "float32",
    attention: Annotated[str, typer.Option(help="Attention kernel: sdpa or eager.")] = "sdpa",
    device: DeviceOption = "auto",
    weights: WeightsOption = "auto",
    memory: MemoryOption = None,
    trust_remote_code: RemoteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a study on a model and write its report.

    A run is a folder; the same command again resumes it, and finds everything done when it is.

    \b
    layeratlas run hierarchy --size quick
    layeratlas run hierarchy --model Qwen/Qwen3-0.6B --out runs/qwen
    layeratlas run hierarchy --data my_texts.csv
    layeratlas run atlas --model Qwen/Qwen3-0.6B
    """
    with one_line():
        from layeratlas.api import ATLAS, run_atlas, run_spec
        from layeratlas.runs.pipeline import default_folder

        chosen: dict[str, Any] = {"folds": folds, "repeats": repeats, "shuffles": shuffles, "svm_c": svm_c, "pca": pca}
        chosen["methods"] = tuple(probe) if probe else None

        def made(study: str, name: str) -> RunSpec:
            base = registry.get("studies", study).probe_spec(spec_of(RunSpec, size=size).size)
            found: RunSpec = spec_of(
                RunSpec,
                study=study,
                size=size,
                tasks=tuple(task or ()),
                data=tuple(str(path) for path in data or ()),
                model=spec_of(
                    ModelSpec, id=name, revision=revision, dtype=dtype, attention=attention, device=device,
                    trust_remote_code=trust_remote_code, weights=weights, memory=memory, bos=bos,
                ),
                capture=spec_of(CaptureSpec, position=position),
                probe=spec_of(type(base), **(base.model_dump() | {k: v for k, v in chosen.items() if v is not None})),
                settings=settings(set_ or []),
                seed=seed,
            )  # fmt: skip
            return found

        for name in model or [DEFAULT_MODEL]:
            specs = [made(each, name) for each in (ATLAS if study == "atlas" else (study,))]
            whole = specs[0].model_copy(update={"study": study})
            folder = out / default_folder(whole).name if out and len(model or ()) > 1 else out
            progress = make_progress(quiet)
            result = run_atlas(specs, folder, progress) if study == "atlas" else run_spec(specs[0], folder, progress)
            if not quiet:
                print(result.summary())
            print(result.page)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run's folder, or a comparison's.")]) -> None:
    """Rebuild report.html and the figures of a run from its tables alone."""
    with one_line():
        from layeratlas import api

        print(api.report(folder))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs, each of another model.")],
    out: Annotated[
        Path | None, typer.Option(help="The comparison's folder. Default: runs/compare-STUDY-MODELS.")
    ] = None,
    family: FamilyOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare runs of several models on the same texts: differences, similarity, sizes, families, claims, one page.

    Runs must be of the same study, size, texts, settings and library versions; what is not is refused, with what to run
    again. Runs of several studies are compared study by study.

    \b
    layeratlas compare runs/one runs/other
    layeratlas compare runs/small runs/middle runs/large --family mine=runs/
    """
    with one_line():
        from layeratlas.api import compare as compared

        found = compared(folders, out=out, families=families(family or []), progress=make_progress(quiet))
        if not quiet:
            print(found.summary())
        print(found.page)


@app.command("list")
def list_(kind: Annotated[str, typer.Argument(help="studies, tasks, probes, metrics or claims.")]) -> None:
    """List what can be named on the command line."""
    with one_line():
        if kind not in registry.KINDS:
            raise SpecError(f"nothing of the kind '{kind}' can be listed", f"one of {', '.join(registry.KINDS)}")
        for name in registry.names(kind):
            plugin = registry.get(kind, name)
            print(f"{name:<14} {getattr(plugin, 'summary', '')}")


@app.command()
def check(
    model: ModelOption = DEFAULT_MODEL,
    revision: Annotated[str | None, typer.Option(help="Hub revision of the model.")] = None,
    dtype: DtypeOption = "float32",
    attention: Annotated[str, typer.Option(help="Attention kernel: sdpa or eager.")] = "sdpa",
    device: DeviceOption = "auto",
    weights: WeightsOption = "auto",
    memory: MemoryOption = None,
    plan: Annotated[bool, typer.Option("--plan", help="From the config alone: read no weights.")] = False,
    trust_remote_code: RemoteOption = False,
) -> None:
    """Load a model, show its anatomy, the identity self-tests with their errors, and what a run would take."""
    with one_line():
        from layeratlas.planning.check import describe

        spec = spec_of(
            ModelSpec, id=model, revision=revision, dtype=dtype, attention=attention, device=device,
            trust_remote_code=trust_remote_code, weights=weights, memory=memory,
        )  # fmt: skip
        print(describe(spec, plan_only=plan))


@app.command()
def claims(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs, of any studies and models.")],
    family: FamilyOption = None,
) -> None:
    """Judge every published claim on finished runs: what was published, what is found here, and the verdict.

    A claim that sets models against each other reads comparable runs only: of the same texts, size, settings and
    versions.
    """
    with one_line():
        from layeratlas.runs.claim import judgement_table
        from layeratlas.runs.finished import read_run

        known = [registry.get("claims", name) for name in registry.names("claims")]
        named = families(family or [])
        runs = [read_run(folder).in_family(named) for folder in folders]
        for row in judgement_table(known, runs).iter_rows(named=True):
            print(f"{row['claim']:<5} [{row['verdict']}] {row['says']}")
            print(f"      published: {row['published']} ({row['citation']})")
            print(f"      here:      {row['here']}")
            if row["to decide it"]:
                print(f"      to decide: {row['to decide it']}")


@app.command()
def validate(
    runs: Annotated[int, typer.Option(min=1, help="Simulated runs of each of four kinds.")] = 100,
    size: Annotated[str, typer.Option(help="quick, standard or full: how many texts a run has.")] = "quick",
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """Simulate runs with known peaks, order, second peaks and coordination, and with none, and print what was found.

    A rate fails (!) where it misses what is asked by more than chance would in 1 of 100 tables.
    """
    with one_line():
        from layeratlas.validation import validate as simulated

        print(f"{'planted':<26}{'finding':<32}{'hits':>7}{'trials':>8}{'rate':>8}  asked")
        for row in simulated(runs, spec_of(RunSpec, size=size).size, make_progress(quiet), seed):
            bounds = (row.at_least and f">= {row.at_least:.2f}", row.at_most < 1 and f"<= {row.at_most:.2f}")
            asked = " and ".join(part for part in bounds if part) + ("" if row.passed else "  !")
            print(f"{row.planted:<26}{row.finding:<32}{row.hits:>7}{row.trials:>8}{row.rate:>8.3f}  {asked}")


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"layeratlas {installed('layeratlas')}")
        raise typer.Exit()


def main() -> None:
    """Run the command line."""
    app()
