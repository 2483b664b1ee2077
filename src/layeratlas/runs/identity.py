"""What decides a run's numbers: its spec, its texts, and the versions of the libraries and of the code."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from layeratlas.core.checksums import code_digest
from layeratlas.core.spec import RunSpec, hash_of
from layeratlas.core.versions import version_of

_PACKAGES = ("layeratlas", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "scikit-learn")
# The folders whose code decides numbers. A development version is not told by its number from other states of its code.
_CODE = ("core", "data", "stats", "store", "models", "capture", "probes", "metrics", "directions", "runs", "studies")


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on; for a development version, also a hash of its code."""
    known = {name: version_of(name) for name in _PACKAGES}
    code = {"code": code_digest(*_CODE)[:12]} if ".dev" in known["layeratlas"] else {}
    return {"python": platform.python_version()} | {name: version for name, version in known.items() if version} | code


def texts_hash(material: Sequence[Any]) -> str:
    """Return a hash of the texts of some material, equal for every model that reads them."""
    return hash_of(_identities(material))


def key_of(spec: RunSpec, material: Sequence[Any]) -> str:
    """Return the key of a run: a hash of its spec, texts and versions."""
    return hash_of([spec.model_dump(mode="json"), _identities(material), versions()])


def _identities(material: Sequence[Any]) -> list[Any]:
    return [data.identity() for data in material]
