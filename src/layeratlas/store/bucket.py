"""Objects in a bucket, through obstore: read whole, written whole, and written only where nobody else did.

The addresses are `s3://BUCKET/PREFIX`, `gs://` and `az://`; credentials are those that the environment names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from layeratlas.core.errors import AtlasError, SpecError, StoreError

# What each kind of store takes its credentials from.
SCHEMES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_ENDPOINT_URL for other servers than Amazon's)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
# Parts of what the stores answer: no such bucket; and nobody to ask for credentials.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")
_NO_CREDENTIALS = (
    "latest/api/token",
    "169.254.169.254",
    "metadata.google",
    "Account must be specified",
    "InvalidAccessKeyId",
    "SigningKey",
)

_NEVER = datetime.min.replace(tzinfo=UTC)


class ChangedError(StoreError):
    """An object that another process has written in the meantime."""


class UnreachableError(StoreError):
    """A store that does not answer, which may pass."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a bucket says of an object: its `tag`, which changes with each write, its bytes, and when it was written."""

    tag: dict[str, str]
    size: int = 0
    written: datetime = _NEVER

    @classmethod
    def of(cls, meta: Any) -> Entry:
        """Return the entry of obstore's record."""
        tag = {key: meta[key] for key in ("e_tag", "version") if meta.get(key) is not None}
        return cls(tag=tag, size=meta.get("size", 0), written=meta.get("last_modified", _NEVER))


class Bucket:
    """The objects below one prefix of a bucket; names are relative to it, with `/` between their parts.

    Every method raises StoreError, in one line, where the bucket does not exist, refuses or does not answer.
    """

    def __init__(self, store: Any, url: str) -> None:
        self._store, self.url = store, url

    @classmethod
    def open(cls, url: str) -> Bucket:
        """Return the bucket of an address; raises SpecError for another address, or where obstore is not installed."""
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or not rest.partition("/")[0]:
            raise SpecError(f"'{url}' is no address of a bucket", f"{', '.join(f'{s}://BUCKET/NAME' for s in SCHEMES)}")
        try:
            from obstore.store import from_url
        except ImportError:
            raise SpecError(
                "an address of a bucket needs the package 'obstore'",
                "that package",
                "pip install 'layeratlas[buckets]'",
            ) from None
        retries = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
        # Only who names a server without encryption speaks to it so.
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        client = {"timeout": "10min", "connect_timeout": "10s", "allow_http": plain}
        with _one_line(url):
            return cls(from_url(url, retry_config=retries, client_options=client), url)

    def entries(self, prefix: str = "") -> dict[str, Entry]:
        """Return what is below a prefix of whole parts, by name; an object of that very name too."""
        import obstore

        with _one_line(self.url):
            found = {meta["path"]: meta for batch in obstore.list(self._store, prefix or None) for meta in batch}
            if prefix and not found:  # the name of one object
                with contextlib.suppress(FileNotFoundError):
                    found = {prefix: obstore.head(self._store, prefix)}
        return {name: Entry.of(meta) for name, meta in found.items()}

    def read(self, name: str, unless: dict[str, str] | None = None) -> tuple[bytes, Entry] | None:
        """Return an object's bytes and entry; None where there is none, or where its tag is still `unless`."""
        import obstore
        from obstore.exceptions import NotModifiedError

        options: Any = {"if_none_match": unless["e_tag"]} if unless else None
        try:
            with _one_line(self.url):
                got = obstore.get(self._store, name, options=options)
                return bytes(got.bytes()), Entry.of(got.meta)
        except (FileNotFoundError, NotModifiedError):
            return None

    def write(self, name: str, data: bytes | Path, over: dict[str, str] | None = None) -> dict[str, str]:
        """Write an object, a file's content where `data` is a path, and return its tag.

        With `over`, it is written over the object of that tag alone, or, where `over` is empty, only where there is
        none. Raises ChangedError otherwise.
        """
        import obstore

        mode: Any = "overwrite" if over is None else (over or "create")
        with _one_line(self.url):
            # A write on a condition is one request.
            return Entry.of(
                obstore.put(self._store, name, data, mode=mode, use_multipart=None if over is None else False)
            ).tag

    def remove(self, name: str) -> None:
        """Remove an object; one that is not there is no matter."""
        import obstore

        with contextlib.suppress(FileNotFoundError), _one_line(self.url):
            obstore.delete(self._store, name)


@contextlib.contextmanager
def _one_line(url: str) -> Iterator[None]:
    """Say in one line what a store answers; an object that is not there stays a FileNotFoundError."""
    from obstore.exceptions import (
        AlreadyExistsError,
        NotModifiedError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )

    try:
        yield
    except (AtlasError, NotModifiedError):
        raise
    except (AlreadyExistsError, PreconditionError) as error:
        raise ChangedError(f"another process has written to '{url}'", "one process per run") from error
    except Exception as error:
        said = " ".join(str(error).split())
        wanted = SCHEMES.get(url.partition(":")[0], "its credentials")
        if any(words in said for words in _NO_BUCKET):
            raise StoreError(
                f"there is no bucket for '{url}'", "one that exists", "create it or check its name"
            ) from error
        if isinstance(error, FileNotFoundError):
            raise
        if any(words in said for words in _NO_CREDENTIALS):
            raise SpecError(f"there are no valid credentials for '{url}'", wanted, "set them") from error
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            raise StoreError(f"'{url}' refuses these credentials", wanted, "check them and their rights") from error
        raise UnreachableError(f"'{url}' does not answer ({_brief(said)})", "a store that can be reached") from error


def _brief(said: str) -> str:
    return said.partition(" Debug source")[0][:200]
