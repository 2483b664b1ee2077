"""A local folder that mirrors a bucket: files are downloaded when a run begins and uploaded while it runs.

Every file of a run is checked by its checksum, in a folder and in a bucket, so files may be uploaded in any order and a
process may be killed between two uploads. JSON files, which are the receipts, are downloaded before and uploaded after
the other files, so that the files that a receipt names exist. Their upload fails if another process has written them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json, write_atomic, write_json
from layeratlas.store.bucket import ABSENT, Bucket, ChangedError, Tag, UnchangedError

# The number of simultaneous requests.
_REQUESTS = 8


class _Known(NamedTuple):
    """A file that is equal in bucket and folder: its tag there, and its inode, size and time of change here."""

    tag: Tag
    stamp: tuple[int, int, int]


class Mirror:
    """The files of `bucket` in `folder`. Files and folders are named as in the bucket; `''` stands for all of it.

    `private` are names of files, without folders, that are never copied in either direction, nor is what is named `.*`.
    """

    def __init__(self, folder: Path, bucket: Bucket, private: frozenset[str] = frozenset()) -> None:
        self.folder, self.bucket, self._private = folder, bucket, private
        self._index = folder.with_name(f"{folder.name}.index.json")
        self._known = self._remembered()
        self._written = dict(self._known)
        self._one_at_a_time = threading.RLock()

    def bring(self, name: str = "") -> None:
        """Update a local file or folder from the bucket; files that the bucket lacks are removed.

        So are empty folders, which a bucket cannot hold and a run takes for something that is not its own. If no other
        process has uploaded since the last synchronisation, unpublished local files are newer and stay.
        """
        with self._one_at_a_time:
            there = {key: entry for key, entry in self.bucket.entries(name).items() if self._is_shared(key)}
            here, known = self._files(name), {key: k.tag for key, k in self._known.items() if _is_below(key, name)}
            if known == {key: entry.tag for key, entry in there.items()}:
                wanted = [key for key in there if key not in here]
            else:
                for key in {*here, *known} - there.keys():
                    (self.folder / key).unlink(missing_ok=True)
                    self._known.pop(key, None)
                wanted = [key for key, entry in there.items() if self._known.get(key) != (entry.tag, here.get(key))]
            _each(self._get, wanted)
            _remove_empty(self.folder / name)
            self._remember()

    def fetch(self, name: str) -> None:
        """Download one small file."""
        with self._one_at_a_time:
            known = self._known.get(name)
            same = known is not None and known.stamp == _stamp(self.folder / name)
            self._get(name, known.tag if known and same else None)

    def gather(self, files: Collection[str]) -> None:
        """Download the small files of some names, without folders, from all folders."""
        with self._one_at_a_time:
            there = filter(self._is_shared, self.bucket.entries())
            _each(self._get, [key for key in there if PurePosixPath(key).name in files])

    def update(self, name: str) -> None:
        """Download the files of a folder that other processes have added; receipts come after what they vouch for."""
        with self._one_at_a_time:
            there = [key for key in self.bucket.entries(name) if self._is_shared(key) and key not in self._known]
            added = [key for key in there if _stamp(self.folder / key) is None]
            _each(self._get, [key for key in added if not key.endswith(".json")])
            _each(self._get, [key for key in added if key.endswith(".json")])
            self._remember()

    def add(self, name: str) -> None:
        """Upload the new files of a folder, and no others; raises ChangedError for a receipt that is in the bucket."""
        with self._one_at_a_time:
            new = [key for key in self._files(name) if key not in self._known]
            _each(self._put, [key for key in new if not key.endswith(".json")])
            for key in new:
                stamp, data = _stamp(self.folder / key), _bytes(self.folder / key)
                if key.endswith(".json") and stamp is not None and data:
                    self._put_receipt(key, stamp, data)
            self._remember()

    def remove(self, name: str) -> None:
        """Remove a file or folder here and in the bucket, with its private files."""
        with self._one_at_a_time:
            for key in {*self.bucket.entries(name), *self._files(name)}:
                self.bucket.remove(key)
                (self.folder / key).unlink(missing_ok=True)
                self._known.pop(key, None)
            _remove_empty(self.folder / name)
            self._remember()

    def publish(self, name: str = "") -> None:
        """Upload a file or folder, so that the bucket equals the local copy.

        Raises ChangedError if another process has written one of its receipts since it was downloaded.
        """
        with self._one_at_a_time:
            try:
                self._publish(name)
            finally:
                self._remember()

    def _publish(self, name: str) -> None:
        receipts = [key for key in self._files(name) if key.endswith(".json")]
        read = [(key, _stamp(self.folder / key), _bytes(self.folder / key)) for key in receipts]
        here = self._files(name)
        for key in [key for key in self._known if _is_below(key, name) and key not in here]:
            self.bucket.remove(key)
            del self._known[key]
        _each(self._put, [key for key, stamp in here.items() if key not in receipts and self._differs(key, stamp)])
        for key, stamp, data in sorted(read, key=lambda one: (one[0].count("/"), one[0]), reverse=True):
            if stamp is not None and data and self._differs(key, stamp):
                self._put_receipt(key, stamp, data)

    def _is_shared(self, key: str) -> bool:
        path = PurePosixPath(key)
        hidden = any(part.startswith(".") for part in path.parts)  # this process's own, and never a path such as `..`
        return not path.is_absolute() and not hidden and path.name not in self._private

    def _files(self, name: str) -> dict[str, tuple[int, int, int]]:
        """Return the stamps of the complete files below a name, by file name."""
        top, found = self.folder / name, {}
        for path in [top] if top.is_file() else _below(top):
            key, stamp = path.relative_to(self.folder).as_posix(), _stamp(path)
            if stamp is not None and self._is_shared(key) and path.suffix != ".part":
                found[key] = stamp
        return found

    def _differs(self, key: str, stamp: tuple[int, int, int]) -> bool:
        known = self._known.get(key)
        return known is None or known.stamp != stamp

    def _get(self, key: str, unless: Tag | None = None) -> None:
        with contextlib.suppress(UnchangedError):
            found = self.bucket.read(key, unless)
            if found is not None:
                write_atomic(self.folder / key, found[0])
                self._note(key, found[1].tag)
            else:
                (self.folder / key).unlink(missing_ok=True)
                self._known.pop(key, None)

    def _put(self, key: str) -> None:
        stamp = _stamp(self.folder / key)
        with contextlib.suppress(FileNotFoundError):  # removed in the meantime
            self._note(key, self.bucket.write(key, self.folder / key), stamp)

    def _put_receipt(self, key: str, stamp: tuple[int, int, int], data: bytes) -> None:
        known = self._known.get(key)
        try:
            tag = self.bucket.write(key, data, over=known.tag if known else ABSENT)
        except ChangedError:
            found = self.bucket.read(key)
            if found is None or found[0] != data:  # equal: our own request, sent twice
                raise
            tag = found[1].tag
        self._note(key, tag, stamp)

    def _note(self, key: str, tag: Tag, stamp: tuple[int, int, int] | None = None) -> None:
        stamp = stamp or _stamp(self.folder / key)
        if stamp is not None:
            self._known[key] = _Known(tag, stamp)

    def _remembered(self) -> dict[str, _Known]:
        try:
            return {key: _Known(Tag(**tag), tuple(stamp)) for key, (tag, stamp) in read_json(self._index).items()}
        except (StoreError, AttributeError, TypeError, ValueError):
            return {}

    def _remember(self) -> None:
        if self._known != self._written:
            write_json(self._index, {key: (asdict(tag), stamp) for key, (tag, stamp) in self._known.items()})
            self._written = dict(self._known)


def _is_below(key: str, name: str) -> bool:
    return not name or key == name or key.startswith(f"{name}/")


def _remove_empty(folder: Path) -> None:
    """Remove the empty folders below a folder, not the folder itself."""
    for inner, _, _ in os.walk(folder, topdown=False):
        if Path(inner) != folder:
            with contextlib.suppress(OSError):  # not empty
                Path(inner).rmdir()


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without those of folders that are removed while it is read."""
    for inner, _, names in os.walk(folder):  # Path.rglob raises an error for such a folder
        yield from (Path(inner, name) for name in names)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns) if path.is_file() else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _each(do: Callable[[str], Any], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(_REQUESTS) as pool:
        for _ in pool.map(do, names):
            pass
