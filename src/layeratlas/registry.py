"""Names to plug-ins: built-in modules by file name, others by entry point, loaded when first asked for.

A built-in plug-in is one module in `layeratlas/<kind>/` that has an attribute `PLUGIN`. A plug-in of another
package is an entry point in the group `layeratlas.<kind>` that resolves to the same kind of object.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from layeratlas.errors import SpecError

KINDS = ("studies", "tasks", "probes", "metrics", "claims")


@cache
def _outside(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"layeratlas.{kind}")}


@cache
def names(kind: str) -> list[str]:
    """Return the sorted names of every plug-in of a kind (one of KINDS)."""
    package = importlib.import_module(f"layeratlas.{kind}")
    built_in = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    return sorted(built_in | set(_outside(kind)))


def get(kind: str, name: str) -> Any:
    """Return the plug-in of that kind and name; a misspelt name raises SpecError with the nearest one."""
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"'layeratlas list {kind}' shows them all"
        raise SpecError(f"no {_singular(kind)} named '{name}'", f"one of {', '.join(known)}", hint)
    outside = _outside(kind)
    if name in outside:
        return outside[name].load()
    return importlib.import_module(f"layeratlas.{kind}.{name}").PLUGIN


def _singular(kind: str) -> str:
    return "study" if kind == "studies" else kind[:-1]
