"""A Python with the libraries already imported, that forks once for each command it is asked to run.

Importing torch and transformers takes longer than a whole run on a tiny model. A forked child runs the command line
as a fresh process would, with its own arguments, working directory, environment, terminal and file-size limit.
`commands.py` talks to it: one JSON object a line in, one out.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from polars import read_parquet

from layeratlas.api import run_spec
from layeratlas.api.places import working_in
from layeratlas.cli.app import main
from layeratlas.core.files import write_atomic
from layeratlas.core.spec import RunSpec

# What a run imports where it first needs it; every module of the package comes with it.
LAZY = (
    "rich.progress", "scipy.stats", "sklearn.model_selection", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto", "transformers.models.llama.modeling_llama", "vl_convert",
)  # fmt: skip


def serve(replies: int) -> None:
    """Answer `{"args": [...], ...}` with a process id and `{"wait": pid}` with its exit status, or null."""
    package = importlib.import_module("layeratlas")
    modules = [module.name for module in pkgutil.walk_packages(package.__path__, "layeratlas.")]
    for name in (*LAZY, *modules):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    # No child's collector walks what was imported, which would copy all of its memory.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            pid, status = os.waitpid(asked["wait"], 0 if asked["block"] else os.WNOHANG)
            answer: Any = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                os.close(replies)
                os._exit(_child(asked))
        os.write(replies, f"{json.dumps(answer)}\n".encode())


def _child(asked: dict[str, Any]) -> int:
    os.setsid()
    os.chdir(asked["cwd"])
    os.environ.update(asked["env"])
    os.fsync = _keep  # processes are killed here, machines are not
    # Opened after setsid, a terminal becomes the child's own.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(os.open(asked[name], os.O_RDWR | os.O_APPEND), number)
    if asked["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["file_limit"],) * 2)
    if not asked["page"]:
        importlib.import_module("layeratlas.report").build = _plain_page
    try:
        _run(asked)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _keep(file: int) -> None:
    """Stand in for `os.fsync`, which waits for the disk dozens of times in a run."""


def _plain_page(folder: Path, study: object) -> Path:
    """Stand in for the report, whose drawing takes longer than the rest of a tiny run."""
    curves, findings = (read_parquet(folder / f"{name}.parquet") for name in ("curves", "findings"))
    write_atomic(folder / "report.html", f"{curves.height} points, {findings.height} findings".encode())
    return folder / "report.html"


def _run(asked: dict[str, Any]) -> None:
    if asked["spec"] is not None:
        with working_in(asked["args"][0]) as folder:
            run_spec(RunSpec(**asked["spec"]), folder)
        return
    sys.argv = ["layeratlas", *asked["args"]]
    main()


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever an import prints is no answer
    serve(answers)
