"""The plan of a sweep in its folder, which every worker reads: `plans/HASH.json`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.runs.place import Place
from layeratlas.sweeps.engines import LOGS
from layeratlas.sweeps.spec import SweepSpec, Variant
from layeratlas.sweeps.units import Unit, units_of

# The folder of plans, below that of the sweep.
_PLANS = "plans"


@contextlib.contextmanager
def planned(place: Place, sweep: SweepSpec) -> Iterator[str]:
    """Write a sweep into its folder and yield the plan's name; a call that is refused leaves nothing that it has made.

    An engine may refuse its first worker. Once a worker has begun, of this call or of another, all is kept.
    """
    made = [name for name in ("", _PLANS, LOGS, _path(sweep.content_hash())) if not place.exists(name)]
    try:
        yield write_plan(place, sweep)
    except SpecError:
        if not place.exists("units"):
            for name in made:
                place.remove(name)
        raise


def demand_begun(place: Place) -> None:
    """Raise StoreError if no sweep has begun in a place: it would be shown as one whose runs all wait."""
    if not place.exists(_PLANS):
        raise StoreError(f"'{place.address}' has no sweep", "the --out of a sweep that was started", "check the path")


def write_plan(place: Place, sweep: SweepSpec) -> str:
    """Write a sweep into its folder and return the plan's name, which is its content's hash."""
    name = sweep.content_hash()
    write_sealed(place.folder / _path(name), sweep.model_dump(mode="json"))
    place.publish(_path(name))
    return name


def read_plan(place: Place, name: str) -> list[Unit]:
    """Return the units of a plan; raises StoreError if it is damaged."""
    place.fetch(_path(name))
    fields = read_sealed(place.folder / _path(name))
    variants = tuple(Variant(**variant) for variant in fields.pop("variants"))
    return units_of(SweepSpec(**fields, variants=variants))


def _path(name: str) -> str:
    return f"{_PLANS}/{name}.json"
