"""Objects in a bucket, through obstore: read and written whole, with writes that fail if another process wrote first.

The addresses are `s3://BUCKET/PREFIX`, `gs://` and `az://`; credentials come from the environment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from layeratlas.core.addresses import SCHEMES
from layeratlas.core.errors import AtlasError, SpecError, StoreError

# Fragments of the stores' error messages: no such bucket; no source of credentials.
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
    """Raised if another process has written an object in the meantime."""


class UnchangedError(Exception):
    """Raised if an object still has the tag that its reader knows."""


class UnreachableError(StoreError):
    """Raised if a store does not answer; this may be temporary."""


@dataclass(frozen=True)
class Tag:
    """What tells an object from what was written over it: its `e_tag`.

    Stores with versions name them too, but not in listings, so a version is no part of a comparison. Google's
    conditional writes need it.
    """

    e_tag: str | None = None
    version: str | None = field(default=None, compare=False)


# The tag of an object that does not exist.
ABSENT = Tag()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A bucket's metadata of an object: its `tag`, which changes with each write, its size in bytes, and its time."""

    tag: Tag
    size: int = 0
    written: datetime = _NEVER

    @classmethod
    def of(cls, meta: Any) -> Entry:
        """Return the entry of obstore's record."""
        return cls(
            tag=Tag(meta.get("e_tag"), meta.get("version")),
            size=meta.get("size", 0),
            written=meta.get("last_modified", _NEVER),
        )


class Bucket:
    """The objects below one prefix of a bucket; names are relative to it, with `/` between their parts.

    Every method raises StoreError, in one line, if the bucket does not exist, refuses access or does not answer.
    """

    def __init__(self, store: Any, url: str) -> None:
        self._store, self.url = store, url

    @classmethod
    def open(cls, url: str) -> Bucket:
        """Return the bucket of an address; raises SpecError for an invalid address, or if obstore is not installed."""
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or not rest.partition("/")[0]:
            raise SpecError(f"'{url}' is no address of a bucket", f"{', '.join(f'{s}://BUCKET/NAME' for s in SCHEMES)}")
        if not rest.partition("/")[2].strip("/"):
            raise SpecError(f"'{url}' is a whole bucket", f"a place in it, such as {url.rstrip('/')}/NAME")
        try:
            from obstore.store import from_url
        except ImportError:
            raise SpecError(
                "an address of a bucket needs the package 'obstore'",
                "that package",
                "pip install 'layeratlas[buckets]'",
            ) from None
        retries = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
        # Unencrypted connections are allowed only if the user names an http server.
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        client = {"timeout": "10min", "connect_timeout": "10s", "allow_http": plain}
        with _one_line(url):
            return cls(from_url(url, retry_config=retries, client_options=client), url)

    def entries(self, prefix: str = "") -> dict[str, Entry]:
        """Return the objects below a prefix (whole path components), and an object of exactly that name, by name."""
        import obstore

        with _one_line(self.url):
            found = {meta["path"]: meta for batch in obstore.list(self._store, prefix or None) for meta in batch}
            if prefix and not found:  # the prefix may be one object's name
                with contextlib.suppress(FileNotFoundError):
                    found = {prefix: obstore.head(self._store, prefix)}
        return {name: Entry.of(meta) for name, meta in found.items()}

    def holds(self, name: str) -> bool:
        """Return whether there is an object of that name, or below it."""
        return bool(self.entries(name))

    def read(self, name: str, unless: Tag | None = None) -> tuple[bytes, Entry] | None:
        """Return an object's bytes and entry; None if there is no such object.

        Raises UnchangedError if its tag still equals `unless`.
        """
        import obstore
        from obstore.exceptions import NotModifiedError

        options: Any = {"if_none_match": unless.e_tag} if unless else None
        try:
            with _one_line(self.url):
                got = obstore.get(self._store, name, options=options)
                return bytes(got.bytes()), Entry.of(got.meta)
        except NotModifiedError:
            raise UnchangedError from None
        except FileNotFoundError:
            return None

    def now(self, name: str) -> datetime | None:
        """Return the time by the store's clock, from an object `name` that is written for this and removed again."""
        import obstore

        self.write(name, b"now")
        try:
            with _one_line(self.url):
                return Entry.of(obstore.head(self._store, name)).written
        except FileNotFoundError:  # another process has removed its folder
            return None
        finally:
            self.remove(name)

    def write(self, name: str, data: bytes | Path, over: Tag | None = None) -> Tag:
        """Write an object (bytes, or the content of a file) and return its tag.

        With `over`, the write succeeds only if the present object has that tag or, for ABSENT, if there is no object.
        Raises ChangedError otherwise.
        """
        import obstore

        mode: Any = "overwrite" if over is None else "create"
        if over is not None and over != ABSENT:
            mode = {key: value for key, value in asdict(over).items() if value is not None}
        with _one_line(self.url):
            # A conditional write must be a single request.
            return Entry.of(
                obstore.put(self._store, name, data, mode=mode, use_multipart=None if over is None else False)
            ).tag

    def remove(self, name: str) -> None:
        """Remove an object if it exists."""
        import obstore

        with contextlib.suppress(FileNotFoundError), _one_line(self.url):
            obstore.delete(self._store, name)


@contextlib.contextmanager
def _one_line(url: str) -> Iterator[None]:
    """Turn a store's errors into one-line errors, except FileNotFoundError for a missing object."""
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
        found, todo = f"'{url}' does not answer ({_brief(said)})", "run the same command again once it answers"
        raise UnreachableError(found, "a store that can be reached", todo) from error


def _brief(said: str) -> str:
    return said.partition(" Debug source")[0][:200]
