"""Upload what a run writes while it goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from layeratlas.core.errors import AtlasError, SpecError, StoreError
from layeratlas.core.processes import interrupt
from layeratlas.store.bucket import ChangedError
from layeratlas.store.mirror import Mirror

# Seconds between two scans for files to upload.
_PAUSE = 1.0


@contextlib.contextmanager
def publishing(mirror: Mirror, name: str, demand: Callable[[], None]) -> Iterator[None]:
    """Upload a folder of a mirror every few seconds, and once more at the end, even after an error.

    `demand` raises an error if this process may not upload. Such an error, a changed receipt or missing credentials
    stop the work at once; a store that does not answer is asked again, and its error is raised at the end.
    """
    done, failed, worker = threading.Event(), list[AtlasError](), threading.get_ident()

    def repeat() -> None:
        while not done.wait(_PAUSE):
            try:
                demand()
                mirror.publish(name)
            except (ChangedError, SpecError) as error:
                failed.append(error)
                interrupt(worker)
                return
            except StoreError:
                continue

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        try:
            yield
        finally:
            done.set()
            thread.join()
    except BaseException:
        if failed:
            _raise_alone(failed[0])
        with contextlib.suppress(AtlasError):
            demand()
            mirror.publish(name)
        raise
    if failed:
        raise failed[0]
    demand()
    mirror.publish(name)


def _raise_alone(error: AtlasError) -> NoReturn:
    """Raise an error as the reason of an interrupt, which is then not taken for the user's."""
    try:
        raise error
    except AtlasError:
        error.__context__ = None
        raise
