"""Processes that hold one model's weights together, by transformers' tensor parallelism; this one leads.

Every process loads the model and runs its self-tests in step. Afterwards only the leader does the work. It announces
each forward pass, and the other processes join in. Every process has the whole residual stream, but only the leader
stores or writes anything. A team belongs to one loaded model: its processes are started for the load and end when the
model is closed; those of torchrun stay for the next. https://huggingface.co/docs/transformers/perf_infer_gpu_multi
"""

from __future__ import annotations

import gc
import json
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models.links import Link
from layeratlas.models.starting import Processes, start, stop, written

# Seconds to wait after a broken connection until the ended process shows as ended.
_SETTLE = 1.0
_NONE = torch.zeros(0)
_AGAIN = "run the same command again"
# The link of the processes that torchrun started, if it did.
_torchrun: list[Link] = []
# The teams that are not closed: at most one, since torch.distributed connects a process once.
_open: weakref.WeakSet[Team] = weakref.WeakSet()


class Team:
    """The processes that hold a loaded model, led by this one, from its load until it is closed.

    `others` are those that this process started. A team that nothing refers to is closed too.
    """

    def __init__(self, link: Link, others: Processes = ()) -> None:
        self.count, self.others, self._link = link.count, others, link
        self._why: ModelError | None = None
        self._end = weakref.finalize(self, _end, link, others)
        _open.add(self)

    def announce_pass(self, ids: Tensor, mask: Any, positions: Tensor | None, logits: bool) -> None:
        """Tell the others to run a forward pass with these arguments of `LoadedModel.run`."""
        if not self._end.alive:
            closed = ModelError("a model spread over processes was used after it was closed", "an open model", _AGAIN)
            raise self._why or closed
        tensors = {"ids": ids} if positions is None else {"ids": ids, "positions": positions}
        kinds: list[str] = []
        if isinstance(mask, Mapping):
            kinds = list(mask)
            tensors |= {f"mask {kind}": _NONE if value is None else value for kind, value in mask.items()}
        elif mask is not None:
            tensors["mask"] = mask
        with self.together():
            self._link.send(tensors, {"logits": json.dumps(logits), "kinds": json.dumps(kinds)})

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a step that needs all processes; if one has ended or does not answer, close and raise ModelError."""
        lost = self._lost()
        if lost is None:
            try:
                yield
                return
            except RuntimeError as error:
                time.sleep(_SETTLE)
                lost = self._lost() or self._unanswered(error)
                if lost is None:
                    raise
        self.close(broken=True)
        self._why = lost
        raise lost

    def _lost(self) -> ModelError | None:
        """Return an error if a process has ended."""
        if all(process.poll() is None for process in self.others):
            return None
        return self._elsewhere() or ModelError("a process of --parallel has ended", "all running", _AGAIN)

    def _unanswered(self, error: RuntimeError) -> ModelError | None:
        """Return an error if torch's error is one of the connection."""
        said = " ".join(str(error).split())
        if isinstance(error, dist.DistError) or any(words in said for words in ("gloo", "Connection", "Timed out")):
            silent = f"a process of --parallel does not answer ({said[:200]})"
            return self._elsewhere() or ModelError(silent, "all of them in step", _AGAIN)
        return None

    def _elsewhere(self) -> ModelError | None:
        """Return an error if another process has told why it could not load the model."""
        told = self._link.errors()
        return ModelError(f"another process of --parallel could not load the model: {told[0]}") if told else None

    def begin_load(self, spec: ModelSpec) -> None:
        """Tell the others to load the model; this process must load it in the same way."""
        self._link.begin_load()
        if not self.others:  # those that this process started know what to load
            self._link.send({}, {"load": written(spec)})

    def end_load(self) -> None:
        """Wait until the others have loaded the model too; raises ModelError if one could not."""
        self._link.tell()
        in_step = self._link.have_told(range(self.count), failed=False, lost=self._lost)
        error = self._elsewhere()
        if error or not in_step:
            raise error or ModelError("a process of --parallel did not load the model", "all of them in step", _AGAIN)

    def fail_load(self, error: BaseException) -> None:
        """Close after a load that failed. Processes of torchrun may be used again if all have failed alike."""
        in_step = False
        if not self.others and not self._link.broken and isinstance(error, Exception):
            with suppress(RuntimeError):
                self._link.tell(str(error) or type(error).__name__)
                in_step = self._link.have_told(range(self.count), failed=True)
        self.close(broken=not in_step)

    def close(self, broken: bool = False) -> None:
        """End the others; those of torchrun drop their share of the model. `broken`: they are out of step."""
        self._link.broken |= broken
        self._end()
        _open.discard(self)


def _end(link: Link, others: Processes) -> None:
    if others:
        stop(others)
        link.cut()
    elif link in _torchrun and not link.broken:
        with suppress(RuntimeError):
            link.send({}, {"drop": ""})


@contextmanager
def opened(spec: ModelSpec) -> Iterator[Team]:
    """Load a model in all processes of a spec at once: yield its team, and close it if the load fails.

    Raises ModelError if another model that is spread over processes is open.
    """
    team = _team_of(spec)
    try:
        with team.together():
            team.begin_load(spec)
            yield team
            team.end_load()
    except BaseException as error:
        team.fail_load(error)
        raise


def _team_of(spec: ModelSpec) -> Team:
    if _open:
        gc.collect()  # closes a model that nothing refers to
    for other in _open:
        raise ModelError(
            f"this process has a model open that is spread over {other.count} processes",
            "one such model at a time",
            "close it first: model.close(), or with load(...) as model",
        )
    if not _torchrun:
        return Team(*start(spec))
    link = _torchrun[0]
    if link.count != spec.parallel:
        raise _unlike(link, spec)
    if link.broken:
        raise ModelError("the processes of torchrun are out of step after a failure", "processes in step", _AGAIN)
    return Team(link)


def demand_plain(spec: ModelSpec) -> None:
    """Raise ModelError where torchrun started several processes, and none is to hold a share of the model."""
    if _torchrun and not _open:
        raise _unlike(_torchrun[0], spec)


def _unlike(link: Link, spec: ModelSpec) -> ModelError:
    return ModelError(
        f"torchrun started {link.count} processes for one model, and --parallel is {spec.parallel}",
        f"--parallel {link.count}",
        "use the same number",
    )


@contextmanager
def led(link: Link) -> Iterator[None]:
    """Spread the models of this process over the processes that torchrun started, and end those afterwards."""
    _torchrun.append(link)
    try:
        yield
    finally:
        for team in list(_open):
            team.close()
        _torchrun.remove(link)
        with suppress(RuntimeError):
            if not link.broken:
                link.send({}, {"end": ""})
                link.leave()
