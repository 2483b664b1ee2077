"""Run one or all studies, compare finished runs, check a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from layeratlas.api.folders import folder_path
from layeratlas.api.options import Model, ModelOptions, Options, checked, explicit
from layeratlas.api.places import working_in
from layeratlas.api.results import Run
from layeratlas.api.specs import make_model_spec, make_spec, make_specs
from layeratlas.core import registry
from layeratlas.core.errors import CaptureError, ModelError, SpecError
from layeratlas.core.progress import Progress, checked_progress
from layeratlas.core.spec import DEFAULT_MODEL, RunSpec, Size

if TYPE_CHECKING:
    from layeratlas.api.compared import Comparison


@explicit(Options)
def run(
    study: str = "hierarchy",
    *,
    model: Model = DEFAULT_MODEL,
    size: Size = "standard",
    out: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Run:
    """Run a study on a model and return the finished run; the same call resumes an interrupted run.

    `model` is a hub id, a directory, a `.gguf` file, a built-in alias or a ModelSpec; `size` is quick, standard or
    full; `out` the run's folder, by default `runs/STUDY-MODEL-SIZE`, or the address of a bucket. The options have the
    same names and meaning as on the command line: `tasks`, `data`, `bad_rows`, `label_kind`, `position`, `components`,
    `precision`, `probe` (a name, names, or fields such as `{"repeats": 3}`), `folds`, `repeats`, `shuffles`, `svm_c`,
    `pca`,
    `capture`, `settings`, `seed`; and for the model `revision`, `dtype`, `attention`, `device`, `bos`, `weights`,
    `parallel`, `memory`, `adapter`, `trust_remote_code`, and `chat`, `system`, `chat_options` (texts become the user's
    turn in the model's chat template). Options that are not given keep the study's default at this size.

    Raises AtlasError with a one-line message that says what to do.
    """
    if study == "atlas":
        raise SpecError("an atlas is several studies", "the name of one study", "call layeratlas.atlas()")
    progress = checked_progress(progress)
    spec = make_spec(study, model, size, options)
    with working_in(out) as folder:
        return run_spec(spec, folder, progress)


@explicit(Options)
def atlas(
    *,
    model: Model = DEFAULT_MODEL,
    size: Size = "standard",
    out: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Comparison:
    """Run the hierarchy, exits, causal and segments studies on a model and return the page of all four.

    Each study is a separate run in `OUT/STUDY`, which the same call resumes; the page is in `OUT/atlas`. A study that
    cannot measure this model is left out, and the page's notes say why. Options are those of `run` except `tasks` and
    `data`; each applies to the studies that use it. Raises AtlasError if fewer than two studies can measure the model.
    """
    progress = checked_progress(progress)
    specs = make_specs("atlas", model, size, options)
    with working_in(out) as folder:
        return run_atlas(specs, folder, progress)


@checked
def compare(
    runs: Sequence[Run | str | Path],
    *,
    out: str | Path | None = None,
    families: Mapping[str, str] | None = None,
    steps: Mapping[int, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare finished runs of the same study on the same texts, each on a different model or checkpoint.

    `families` maps families to a substring of their models' names (`{"smollm": "SmolLM"}`); other models belong to the
    family of their architecture. `steps` maps training steps in the same way (`{1000: "early"}`); other models have the
    step named in their revision or directory (`step1000`). Raises AtlasError, with what to run again, if runs cannot be
    compared.
    """
    from layeratlas.api.compared import Comparison
    from layeratlas.comparison import compare as compare_folders

    if isinstance(runs, str | Path) or not isinstance(runs, Sequence):
        raise SpecError(f"the runs to compare are {runs!r}", "a list of two runs or more")
    folders = [run.folder if isinstance(run, Run) else folder_path(run) for run in runs]
    progress = checked_progress(progress)
    return Comparison(
        compare_folders(folders, folder_path(out) if out else None, families, progress, steps=_steps(steps))
    )


def _steps(steps: object) -> dict[int, str]:
    """Return validated steps by name."""
    if steps is None:
        return {}
    valid = isinstance(steps, Mapping) and all(
        isinstance(step, int) and step >= 0 and isinstance(part, str) and part for step, part in steps.items()
    )
    if not valid:
        raise SpecError(f"the steps {steps!r} are invalid", 'steps with a part of a name, such as {1000: "early"}')
    return dict(steps)  # type: ignore[call-overload, no-any-return]


@explicit(ModelOptions)
def check(*, model: Model = DEFAULT_MODEL, plan: bool = False, **options: Unpack[ModelOptions]) -> str:
    """Load a model and return its anatomy, its self-tests with their errors, and the cost of a run, as text.

    With `plan` no weights are read. Options are those of the model: `dtype`, `device` and so on. Raises ModelError if
    the model cannot be measured.
    """
    from layeratlas.planning.check import describe

    if not isinstance(plan, bool):
        raise SpecError(f"the option plan={plan!r} is invalid", "true or false")
    return describe(make_model_spec(model, options), plan_only=plan)


def run_spec(spec: RunSpec, out: Path | None = None, progress: Progress | None = None) -> Run:
    """Run a spec to its end, or resume it, and return the run."""
    from layeratlas.runs.pipeline import execute

    return Run(execute(registry.get("studies", spec.study), spec, out, progress))


def run_atlas(specs: Sequence[RunSpec], out: Path | None = None, progress: Progress | None = None) -> Comparison:
    """Run specs of one model in different studies, and return their common page."""
    from layeratlas.api.compared import Comparison
    from layeratlas.comparison import compare as compare_folders
    from layeratlas.runs.kept_model import KeptModel
    from layeratlas.runs.pipeline import default_folder, execute

    progress = progress or Progress()
    folder = out or default_folder(specs[0].model_copy(update={"study": "atlas"}))
    folders, notes = [], []
    with KeptModel() as kept:
        for spec in specs:
            try:
                study = registry.get("studies", spec.study)
                folders.append(execute(study, spec, folder / spec.study, progress, kept))
            except (ModelError, CaptureError) as error:
                if not folders or (spec is specs[-1] and len(folders) < 2):
                    raise
                notes.append(f"{spec.study} is left out: {error}")
                progress.note(notes[-1])
    return Comparison(compare_folders(folders, folder / "atlas", progress=progress, notes=notes))
