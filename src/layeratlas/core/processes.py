"""Processes: signals that stop a run like Ctrl-C, workers that end with their parent, and which have ended."""

from __future__ import annotations

import os
import platform
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

Value = TypeVar("Value")
# Seconds between a worker's checks of its parent.
_LOOK = 0.5
_watching = threading.Event()


def peak_memory() -> int:
    """Return the most memory that this process has had so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


class Terminated(KeyboardInterrupt):
    """The process received the termination signal `number`; handled like a keyboard interrupt."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stoppable(*signals: int) -> Iterator[None]:
    """Raise Terminated at `signals`, and at SIGTERM and SIGHUP unless they are ignored (nohup) or handled already."""
    numbers = {getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
    numbers = {number for number in numbers if signal.getsignal(number) is signal.SIG_DFL} | set(signals)
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, _terminate) for number in numbers} if in_main_thread else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


def interrupt(thread: int) -> None:
    """Raise KeyboardInterrupt in the main thread, if `thread` is its identifier and Ctrl-C or SIGTERM would do so.

    Shells start jobs in the background with Ctrl-C ignored.
    """
    stopping = (number for number in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(number)))
    number = next(stopping, None)
    if thread == threading.main_thread().ident and number is not None:
        signal.pthread_kill(thread, number)  # wakes a thread that waits, too


def module_command(module: str) -> list[str]:
    """Return the command that runs a module in a process of this Python, which finds the same packages as this one.

    `python -m` looks into the present folder first, where a file `queue.py` of the user's would be taken for Python's.
    """
    return [sys.executable, *([] if _imports_from_here() else ["-P"]), "-m", module]


def _imports_from_here() -> bool:
    here = {""}
    with suppress(FileNotFoundError):  # the folder was removed
        here.add(str(Path.cwd()))
    return not here.isdisjoint(sys.path)


@contextmanager
def alike_imports() -> Iterator[None]:
    """Let processes that a library starts with `python -m` find the same packages as this one, like those of ours."""
    name, before = "PYTHONSAFEPATH", os.environ.get("PYTHONSAFEPATH")
    if not _imports_from_here():
        os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def parallel(
    function: Callable[..., Value], arguments: Iterable[tuple[Any, ...]], *, processes: bool
) -> Iterator[Value]:
    """Yield `function(*arguments)` in order, computed on all cores by processes or, for short steps, threads.

    The cores are those that this process may use; `LOKY_MAX_CPU_COUNT` limits them further. Worker processes end when
    this one ends, for any reason.
    """
    from joblib import Parallel, cpu_count, delayed

    if not processes:
        yield from _in_threads(function, arguments, cpu_count())
        return
    jobs = (delayed(_job)(os.getpid(), function, values) for values in arguments)
    with alike_imports():
        results = Parallel(n_jobs=cpu_count(), backend="loky", return_as="generator")(jobs)
        try:
            yield from results
        except BaseException:
            stop_workers()
            raise


def _in_threads(function: Callable[..., Value], arguments: Iterable[tuple[Any, ...]], threads: int) -> Iterator[Value]:
    # joblib polls its threads every 10 ms, which is longer than most steps take.
    waiting: deque[Future[Value]] = deque()
    executor = ThreadPoolExecutor(threads)
    try:
        for values in arguments:
            waiting.append(executor.submit(function, *values))
            if len(waiting) > 2 * threads:  # limit the number of arguments created in advance
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _job(parent: int, function: Callable[..., Value], values: tuple[Any, ...]) -> Value:
    if os.getpid() != parent:
        end_with(parent)
    return function(*values)


def end_with(parent: int, grace: float = 0.0) -> None:
    """Make this process exit soon after its parent has ended.

    It is first interrupted, like by Ctrl-C, and has `grace` seconds to clean up; without any, it exits at once.
    """
    if not _watching.is_set():
        _watching.set()
        threading.Thread(target=_watch, args=(parent, grace), daemon=True).start()


def _watch(parent: int, grace: float) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    if grace:
        interrupt(threading.main_thread().ident or 0)
        time.sleep(grace)
    os._exit(1)


def has_ended(pid: int) -> bool:
    """Return whether no process of this machine has an id (now)."""
    import psutil

    with suppress(OverflowError):
        return not psutil.pid_exists(pid)
    return True


@cache
def machine() -> str:
    """Return an identifier of this machine (since boot) and container, which may share a host name with others."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def stop_workers() -> None:
    """Kill all worker processes, busy or idle."""
    reusable = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(reusable, "_executor", None)
    if executor is not None:
        executor.shutdown(wait=False, kill_workers=True)
