"""The chart library that is embedded in every page."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from layeratlas.core.cache import cache_root
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic
from layeratlas.core.versions import version_of
from layeratlas.report import vega


@cache
def library() -> str:
    """Return the scripts that define the global `vegaEmbed`.

    Bundling takes two seconds, so the result is cached under its checksum. A cached file that does not match its
    checksum is replaced; without a writable cache, every process bundles the scripts again.
    """
    path = cache_root() / "charts" / f"vega-{vega.VERSION}-{version_of('vl-convert-python')}.js"
    kept = _read(path)
    if kept is not None:
        return kept
    # The final snippet of the bundle defines vegaEmbed globally; all other names stay inside the function.
    bundle: Any = vl_convert.javascript_bundle  # its types call the optional snippet required
    text = "(() => {" + str(bundle(vl_version=vega.VERSION)) + "})();"
    try:
        write_atomic(path, f"{_digest(text)}\n{text}".encode())
    except StoreError:
        return text
    return text


def _read(path: Path) -> str | None:
    try:
        digest, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return None
    return text if digest == _digest(text) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
