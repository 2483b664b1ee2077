"""A run or sweep in a bucket, with a local folder that mirrors it.

A run reads and writes files only in the local folder. Only this module handles what a bucket needs in addition: leases
and copies.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layeratlas.core.cache import cache_root
from layeratlas.core.own_folders import make_own_folder, remove_abandoned
from layeratlas.core.spec import hash_of
from layeratlas.runs.lease import Lease, lease_holder, leased
from layeratlas.runs.lock import LOCK
from layeratlas.runs.place import Place
from layeratlas.store.bucket import Bucket
from layeratlas.store.mirror import Mirror
from layeratlas.store.publishing import publishing


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
            remove_abandoned(root / "workers")
        self._root = make_own_folder(root / "workers") if apart else root
        self.folder = self._root / "files"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mirror = Mirror(self.folder, bucket, frozenset({LOCK}))
        self._leases: list[Lease] = []

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold the lease in the bucket."""
        with leased(self._bucket, _lease(name)) as lease:
            self._leases.append(lease)
            try:
                yield
            finally:
                self._leases.remove(lease)

    def holder(self, name: str) -> dict[str, Any] | None:
        """Return who holds the lease in the bucket."""
        return lease_holder(self._bucket, _lease(name))

    @contextlib.contextmanager
    def working(self, name: str = "") -> Iterator[Path]:
        """Hold the lease, download the folder, and upload finished files every few seconds."""
        with self.held(name):
            self._mirror.bring(name)
            with publishing(self._mirror, name, self._demand):
                yield self.folder / name

    def bring(self, name: str = "") -> None:
        """Download a file or folder from the bucket."""
        self._mirror.bring(name)

    def fetch(self, *names: str) -> None:
        """Download small files from the bucket."""
        for name in names:
            self._mirror.fetch(name)

    def gather(self, *files: str) -> None:
        """Download small files of some names from all folders of the bucket."""
        self._mirror.gather(files)

    def publish(self, *names: str) -> None:
        """Upload files and folders to the bucket; raises TakenOverError if a lease of this process was taken over."""
        self._demand()
        for name in names:
            self._mirror.publish(name)

    def update(self, name: str) -> None:
        """Download the files of a folder that others have added to the bucket."""
        self._mirror.update(name)

    def add(self, name: str) -> None:
        """Upload the new files of a folder; raises TakenOverError as `publish` does."""
        self._demand()
        self._mirror.add(name)

    def exists(self, name: str) -> bool:
        """Return whether the bucket holds an object of that name, or below it."""
        return self._mirror.bucket.holds(name)

    def remove(self, name: str) -> None:
        """Remove objects and local files, the leases below the name among them."""
        self._demand()
        self._mirror.remove(name)

    def _demand(self) -> None:
        for lease in list(self._leases):
            lease.demand()

    def leave(self) -> None:
        """Remove the folder of this process."""
        if self._apart:
            shutil.rmtree(self._root, ignore_errors=True)


def _lease(name: str) -> str:
    return f"{name}/{LOCK}" if name else LOCK
