"""The versions of installed packages, read from their metadata once per process."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def version_of(package: str) -> str:
    """Return the version of an installed package; '' if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
