"""Ends the rows of a benchmark when their time is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]


class OutOfTimeError(Exception):
    """The time of a part is over."""


def within(seconds: float, what: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield rows until the seconds are over, and then one that says so."""

    def over(*_: object) -> None:
        raise OutOfTimeError

    end = time.perf_counter() + seconds
    signal.signal(signal.SIGALRM, over)
    while True:
        # The clock runs in the row alone, and not in what the caller does with it.
        signal.setitimer(signal.ITIMER_REAL, max(end - time.perf_counter(), 0.001))
        try:
            row = next(rows, None)
        except OutOfTimeError:
            row = {"row": f"further rows, {what}", "skipped": f"the {max(seconds, 0):.0f} s for them were over"}
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if row is None:
            return
        yield row
