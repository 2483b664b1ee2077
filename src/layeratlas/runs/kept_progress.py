"""The progress of a run, kept in its folder while it goes, so that `layeratlas status` and sweeps can show it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import read_json, write_json
from layeratlas.core.formatting import duration
from layeratlas.core.progress import Pace, Progress, Step
from layeratlas.core.spec import Spec
from layeratlas.runs.lock import this_process

PROGRESS = "progress.json"
# Seconds between two writes of a step that advances.
_EVERY = 2.0


class Moment(Spec):
    """The step that a run is in, the share of it that is done, its seconds left (None: unknown), and first results.

    `begun` tells whether there was a step before: work between two steps has no step. `by` is the process that works,
    as `HOST:PID`.
    """

    by: str = ""
    begun: bool = False
    step: str = ""
    share: float = 0.0
    left: float | None = None
    previews: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The step in words: `probe, 45 %, about 2 min left`."""
        if not self.step:
            return "running" if self.begun else "starting"
        left = f", about {duration(self.left)} left" if self.left else ""
        return f"{self.step}, {100 * self.share:.0f} %{left}"


class KeptProgress(Progress):
    """Shows progress as `shown` does, and keeps it in the run's folder until `end`.

    A folder that cannot be written loses nothing but this.
    """

    def __init__(self, shown: Progress, folder: Path) -> None:
        self._shown, self._path = shown, folder / PROGRESS
        self._moment = Moment(by=_named(this_process()))
        if self._path.exists():  # of a process that was killed
            self._keep()

    @contextlib.contextmanager
    def stage(self, name: str, total: float) -> Iterator[Step]:
        """Open a stage of `total` units of work, maybe within another one."""
        outer = {"step": self._moment.step, "share": self._moment.share, "left": self._moment.left}
        self._keep(begun=True, step=name, share=0.0, left=None)
        try:
            with self._shown.stage(name, total) as step:
                yield _KeptStep(self, step, Pace(total))
        finally:
            self._keep(**outer)

    def note(self, text: str) -> None:
        """Show one line of text."""
        self._shown.note(text)

    def preview(self, text: str) -> None:
        """Show a first result in one line, and keep it."""
        self._shown.preview(text)
        self._keep(previews=(*self._moment.previews, text))

    def keep(self, pace: Pace) -> None:
        """Keep how far the present stage is."""
        self._keep(share=round(pace.share, 4), left=pace.left)

    def end(self) -> None:
        """Remove what was kept: the run is complete."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _keep(self, **changes: Any) -> None:
        self._moment = self._moment.model_copy(update=changes)
        with contextlib.suppress(StoreError):
            write_json(self._path, self._moment.model_dump())


class _KeptStep:
    def __init__(self, progress: KeptProgress, step: Step, pace: Pace) -> None:
        self._progress, self._step, self._pace = progress, step, pace
        self._last = pace.start

    def advance(self, amount: float = 1) -> None:
        self._step.advance(amount)
        self._pace.advance(amount)
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            self._progress.keep(self._pace)


def moment_of(folder: Path, held: Mapping[str, Any] | None = None) -> Moment:
    """Return where a run is; without a step if its folder does not say.

    `held` is who holds the run now: what a former process has left is not shown as the state of this one.
    """
    with contextlib.suppress(StoreError, SpecError, TypeError):
        moment = Moment(**read_json(folder / PROGRESS))
        if held is None or moment.by == _named(held):
            return moment
    return Moment()


def _named(process: Mapping[str, Any]) -> str:
    return f"{process.get('host')}:{process.get('pid')}"
