"""The location of a run or sweep: a local folder, or a bucket with a local folder that mirrors it.

A run reads and writes files only in the local folder. Only this module handles what a bucket needs in addition: leases
and copies.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from layeratlas.core.cache import cache_root
from layeratlas.core.spec import hash_of
from layeratlas.runs.lease import lease_holder, leased
from layeratlas.runs.lock import LOCK, holder, locked
from layeratlas.store.bucket import Bucket
from layeratlas.store.mirror import Mirror


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
    def publish(self, *names: str) -> None:
        """Make local changes of files and folders visible to other processes."""

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

    def publish(self, *names: str) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""


class BucketPlace(Place):
    """A bucket, and a folder in the cache that mirrors it.

    With `apart` the folder belongs to this process. It is removed when the process leaves or, if the process is killed,
    by the next one.
    """

    pause = 2.0

    def __init__(self, bucket: Bucket, *, apart: bool = False) -> None:
        self.address, self._bucket, self._apart = bucket.url, bucket, apart
        root = cache_root() / "buckets" / hash_of(bucket.url)[:16]
        if apart:
            root = root / "workers"
            _remove_abandoned(root)
        self._root = root / f"{os.getpid()}@{platform.node()}@{secrets.token_hex(4)}" if apart else root
        self.folder = self._root / "files"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mirror = Mirror(self.folder, bucket, frozenset({LOCK}))

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold the lease in the bucket."""
        with leased(self._bucket, _lease(name)):
            yield

    def holder(self, name: str) -> dict[str, Any] | None:
        """Return who holds the lease in the bucket."""
        return lease_holder(self._bucket, _lease(name))

    @contextlib.contextmanager
    def working(self, name: str = "") -> Iterator[Path]:
        """Hold the lease, download the folder, and upload finished files every few seconds."""
        with self.held(name):
            self._mirror.bring(name)
            with self._mirror.publishing(name):
                yield self.folder / name

    def bring(self, name: str = "") -> None:
        """Download a file or folder from the bucket."""
        self._mirror.bring(name)

    def fetch(self, *names: str) -> None:
        """Download small files from the bucket."""
        for name in names:
            self._mirror.fetch(name)

    def publish(self, *names: str) -> None:
        """Upload files and folders to the bucket."""
        for name in names:
            self._mirror.publish(name)

    def leave(self) -> None:
        """Remove the folder of this process."""
        if self._apart:
            shutil.rmtree(self._root, ignore_errors=True)


def _lease(name: str) -> str:
    return f"{name}/{LOCK}" if name else LOCK


def _remove_abandoned(root: Path) -> None:
    """Remove the folders of ended processes of this host."""
    for folder in root.glob(f"*@{platform.node()}@*"):
        pid = folder.name.partition("@")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
