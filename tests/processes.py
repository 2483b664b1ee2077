"""Processes that tests leave behind on purpose."""

from __future__ import annotations

import os


def dead_pid() -> int:
    """Return the number of a process that has ended."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
