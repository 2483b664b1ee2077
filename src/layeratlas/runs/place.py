"""Where a run or a sweep is: a folder of this machine, or a bucket with a folder of this machine that stands for it.

All that a run does to files it does in the folder. What a bucket needs beyond, leases and copies, is here alone.
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
    """A folder, and what keeps it in step with the bucket that it stands for, if it does.

    `address` names it to other processes; `pause` are the least seconds between two looks at what others do there.
    Names are those of files and folders below it, `''` for all of it.
    """

    folder: Path
    address: str
    pause: float = 0.0

    @abstractmethod
    def held(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lease of a folder; raises InUseError where another process does."""

    @abstractmethod
    def holder(self, name: str) -> dict[str, Any] | None:
        """Return who holds the lease of a folder; None where nobody does."""

    @abstractmethod
    def working(self, name: str = "") -> contextlib.AbstractContextManager[Path]:
        """Yield a run's folder, as it was left by who worked in it last; what is done in it is kept."""

    @abstractmethod
    def bring(self, name: str = "") -> None:
        """Make a file or folder here the newest."""

    @abstractmethod
    def fetch(self, *names: str) -> None:
        """Make small files here the newest."""

    @abstractmethod
    def publish(self, *names: str) -> None:
        """Show others what was done here to files and folders."""

    @abstractmethod
    def leave(self) -> None:
        """Remove what nobody reads any more when this process ends."""


class FolderPlace(Place):
    """A folder that every process sees as it is."""

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
        """Leave all as it is, which is how others see it; so with the methods that follow."""

    def fetch(self, *names: str) -> None:
        """Leave all as it is."""

    def publish(self, *names: str) -> None:
        """Leave all as it is."""

    def leave(self) -> None:
        """Leave all as it is."""


class BucketPlace(Place):
    """A bucket, and in the cache the folder that stands for it.

    With `apart` the folder is this process's own, and is removed when it leaves or, should it be killed, by the next.
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
        """Hold the folder, bring what is published of it, and publish what is finished every few seconds."""
        with self.held(name):
            self._mirror.bring(name)
            with self._mirror.publishing(name):
                yield self.folder / name

    def bring(self, name: str = "") -> None:
        """Make a file or folder here equal to that in the bucket."""
        self._mirror.bring(name)

    def fetch(self, *names: str) -> None:
        """Make small files here equal to those in the bucket."""
        for name in names:
            self._mirror.fetch(name)

    def publish(self, *names: str) -> None:
        """Make files and folders in the bucket equal to those here."""
        for name in names:
            self._mirror.publish(name)

    def leave(self) -> None:
        """Remove the folder of this process."""
        if self._apart:
            shutil.rmtree(self._root, ignore_errors=True)


def _lease(name: str) -> str:
    return f"{name}/{LOCK}" if name else LOCK


def _remove_abandoned(root: Path) -> None:
    """Remove the folders of processes of this host that are no more."""
    for folder in root.glob(f"*@{platform.node()}@*"):
        pid = folder.name.partition("@")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
