"""The plan of a sweep in its folder, which every worker reads: `plans/HASH.json`."""

from __future__ import annotations

from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.runs.place import Place
from layeratlas.sweeps.spec import SweepSpec, Variant
from layeratlas.sweeps.units import Unit, units_of


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
    return f"plans/{name}.json"
