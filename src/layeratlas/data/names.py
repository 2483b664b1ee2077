"""Names of data sets: they become file names in a run's folder, so they never contain a path."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from layeratlas.core.errors import DataError

_MOST_BYTES = 120
_UNSAFE = re.compile(r"[^\w .,+@=()\[\]#&'-]")


def safe_name(name: str) -> str:
    """Return a name that is a valid file name on all systems: no path, no control characters, at most 120 bytes.

    A safe name is returned unchanged; a shortened name ends in a hash of the original.
    """
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).strip(" .") or "data"
    if len(clean.encode()) <= _MOST_BYTES:
        return clean
    start = clean.encode()[: _MOST_BYTES - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def check_name(name: str) -> None:
    """Raise DataError unless a name is safe as a file name."""
    if name != safe_name(name):
        raise DataError(f"a data set is named {ascii(name)[:80]}", "letters, digits and '.', '_', '-'", "rename it")
