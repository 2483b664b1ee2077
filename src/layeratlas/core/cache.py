"""The cache directory, for files that can be recomputed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_root() -> Path:
    """Return the cache directory: `LAYERATLAS_CACHE`, else `layeratlas` in `XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("LAYERATLAS_CACHE")
    if own:
        return Path(os.path.expanduser(own))
    base = os.environ.get("XDG_CACHE_HOME")
    home = os.path.expanduser("~")
    if not base and home == "~":  # a process without a home directory
        return Path(tempfile.gettempdir()) / f"layeratlas-{os.getuid()}"
    return (Path(base) if base else Path(home) / ".cache") / "layeratlas"
