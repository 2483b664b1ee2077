"""The plan of a sweep in its folder, which every worker reads: `plans/HASH.json`."""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.sweeps.spec import SweepSpec, Variant
from layeratlas.sweeps.units import Unit, units_of


def write_plan(out: Path, sweep: SweepSpec) -> str:
    """Write a sweep into its folder and return the plan's name, which is its content's hash."""
    name = sweep.content_hash()
    write_sealed(out / "plans" / f"{name}.json", sweep.model_dump(mode="json"))
    return name


def read_plan(out: Path, name: str) -> list[Unit]:
    """Return the units of a plan; raises StoreError where it is damaged."""
    fields = read_sealed(out / "plans" / f"{name}.json")
    variants = tuple(Variant(**variant) for variant in fields.pop("variants"))
    return units_of(SweepSpec(**fields, variants=variants))
