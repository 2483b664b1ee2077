"""The meaning of `out`: a folder on this machine, or the address of a bucket."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from layeratlas.api.folders import folder_path
from layeratlas.core.errors import SpecError
from layeratlas.runs.place import FolderPlace, Place

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def place_of(out: str | Path, *, apart: bool = False) -> Place:
    """Return the place of a folder or of an address such as `s3://BUCKET/NAME`; `file://` also means a folder.

    `apart` as for BucketPlace. Raises SpecError for any other address.
    """
    if out == "":  # as a shell makes it of an unset variable; it would be the present folder
        raise SpecError("the folder has no name", "a path, or '.' for the present folder")
    address = _ADDRESS.fullmatch(out) if isinstance(out, str) else None
    if address is None:
        return FolderPlace(folder_path(out))
    scheme, rest = address.groups()
    if scheme == "file":
        return FolderPlace(folder_path(unquote(rest)))
    from layeratlas.runs.bucket_place import BucketPlace
    from layeratlas.store.bucket import Bucket

    return BucketPlace(Bucket.open(f"{scheme}://{rest.rstrip('/')}"), apart=apart)


@contextlib.contextmanager
def working_in(out: str | Path | None) -> Iterator[Path | None]:
    """Yield the working folder of a run (None if none is named); its content is kept at the place given by `out`."""
    if out is None or out == "":
        yield None
        return
    with place_of(out).working() as folder:
        yield folder
