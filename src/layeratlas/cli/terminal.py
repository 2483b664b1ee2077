"""Progress as bars and live text at a terminal, or as plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from layeratlas.core.formatting import duration
from layeratlas.core.progress import Pace, Progress, Step


class PlainProgress(Progress):
    """One line when a stage starts, one at most every ten seconds, one when it ends; no control characters."""

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self._stream, self._every = stream or sys.stderr, every

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Step]:
        """Open a stage of `total` units of work."""
        self.note(f"{name} ...")
        step = _PlainStep(self, name, total, self._every)
        yield step
        self.note(f"{name}: done in {duration(time.monotonic() - step.pace.start)}")

    def note(self, text: str) -> None:
        """Show one line of text."""
        print(text, file=self._stream, flush=True)


class _PlainStep:
    def __init__(self, progress: PlainProgress, name: str, total: float, every: float) -> None:
        self._progress, self._name, self._every = progress, name, every
        self.pace = Pace(total)
        self._last_note = self.pace.start

    def advance(self, amount: float = 1) -> None:
        self.pace.advance(amount)
        left, now = self.pace.left, time.monotonic()
        if left is not None and now - self._last_note >= self._every:
            self._progress.note(f"{self._name}: {100 * self.pace.share:.0f} %, about {duration(left)} left")
            self._last_note = now


class RichProgress(Progress):
    """A bar with the time left for each stage."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Step]:
        """Open a stage of `total` units of work."""
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description:<14}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Bars(*columns, TextColumn("left"), TimeRemainingColumn(), console=self._console) as bars:
            task = bars.add_task(name, total=total)

            class Bar:
                def advance(self, amount: float = 1) -> None:
                    bars.advance(task, amount)

            yield Bar()

    def note(self, text: str) -> None:
        """Show one line of text."""
        self._console.print(text, markup=False, highlight=False)

    def preview(self, text: str) -> None:
        """Show a first result in one line above the bar."""
        self._console.print(text, markup=False, highlight=False, style="dim", no_wrap=True)


def make_progress(quiet: bool) -> Progress:
    """Return progress that shows nothing if `quiet`, bars at a terminal, or plain lines elsewhere."""
    if quiet:
        return Progress()
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


def watch(look: Callable[[int | None], tuple[str, bool]], every: float = 2.0) -> None:
    """Show a text, at a terminal anew every few seconds until it is final or the user presses Ctrl-C, else once.

    `look` takes the most lines that can be shown (None: any number) and returns the text, and whether it is final.
    """
    if not sys.stdout.isatty():
        print(look(None)[0])
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def shown(most: int | None) -> tuple[Text, bool]:
        text, final = look(most)
        return Text(text, no_wrap=most is not None, overflow="ellipsis"), final

    console = Console(file=sys.stdout)
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                text, final = shown(max(3, console.height - 1))
                live.update(text if not final else shown(None)[0], refresh=True)
                if final:
                    return
                time.sleep(every)
    except KeyboardInterrupt as error:
        if type(error) is not KeyboardInterrupt:  # a signal to end
            raise
