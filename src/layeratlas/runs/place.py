"""The location of a run or sweep: a local folder, which may mirror a bucket (`runs.bucket_place`)."""

from __future__ import annotations

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layeratlas.core.files import demand_ownership
from layeratlas.runs.lock import holder, locked


class Place(ABC):
    """A local folder, synchronised with a bucket if it mirrors one.

    `address` identifies it to other processes; `pause` is the least number of seconds between two checks of other
    processes' work; `shared` tells whether all processes see the files of `folder` at once. Names are those of files
    and folders below it, `''` for all of it.
    """

    folder: Path
    address: str
    pause: float = 0.0
    shared: bool = False

    @abstractmethod
    def held(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lease of a folder; raises InUseError if another process holds it."""

    @abstractmethod
    def holder(self, name: str) -> dict[str, Any] | None:
        """Return who holds the lease of a folder; None if it is free."""

    @abstractmethod
    def working(self, name: str = "") -> contextlib.AbstractContextManager[Path]:
        """Yield a run's folder in its latest state; changes made in it are kept."""

    @abstractmethod
    def bring(self, name: str = "") -> None:
        """Update a local file or folder to its newest version."""

    @abstractmethod
    def fetch(self, *names: str) -> None:
        """Update small local files to their newest versions."""

    @abstractmethod
    def gather(self, *files: str) -> None:
        """Update small local files of some names, without folders, in all folders to their newest versions."""

    @abstractmethod
    def publish(self, *names: str) -> None:
        """Make local changes of files and folders visible to other processes."""

    @abstractmethod
    def update(self, name: str) -> None:
        """Take in the files of a folder that other processes have added to it."""

    @abstractmethod
    def add(self, name: str) -> None:
        """Make new files of a folder visible to other processes, and no other changes."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether there is a file or folder of that name, or a lease below it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file or folder, with the leases below it."""

    @abstractmethod
    def leave(self) -> None:
        """Remove local files that are not needed after this process ends."""


class FolderPlace(Place):
    """A folder that all processes share directly."""

    shared = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, str(folder.absolute())

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold the folder's lock."""
        with locked(self.folder / name):
            yield

    def holder(self, name: str) -> dict[str, Any] | None:
        """Return who holds the folder's lock."""
        return holder(self.folder / name)

    @contextlib.contextmanager
    def working(self, name: str = "") -> Iterator[Path]:
        """Yield the folder, which the run locks itself."""
        yield self.folder / name

    def bring(self, name: str = "") -> None:
        """Do nothing, since other processes see the folder directly."""

    def fetch(self, *names: str) -> None:
        """Do nothing."""

    def gather(self, *files: str) -> None:
        """Do nothing."""

    def publish(self, *names: str) -> None:
        """Do nothing."""

    def update(self, name: str) -> None:
        """Do nothing."""

    def add(self, name: str) -> None:
        """Do nothing."""

    def exists(self, name: str) -> bool:
        """Return whether the file or folder exists."""
        return (self.folder / name).exists()

    def remove(self, name: str) -> None:
        """Remove the file or folder, which must belong to this process."""
        path = self.folder / name
        demand_ownership(path)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Do nothing."""
