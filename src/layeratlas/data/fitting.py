"""What a run goes on without, since it does not fit the model: rows of the user's files, or whole data sets by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import Dropped


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What a run has left out of its material: `sets` by name, with the reason, and `rows` of others by 0-based number.

    `record` and `from_record` are its form in `run.json`, by which a resumed run leaves the same out again.
    """

    sets: Mapping[str, str]
    rows: Mapping[str, Mapping[int, Dropped]]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return what a manifest says was left out; nothing for an empty record."""
        rows = {
            name: {int(number): Dropped(**row) for number, row in listed.items()}
            for name, listed in record.get("rows", {}).items()
        }
        return cls(sets=dict(record.get("sets", {})), rows=rows)

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        rows = {name: {str(n): asdict(row) for n, row in listed.items()} for name, listed in self.rows.items()}
        return {"sets": dict(self.sets), "rows": rows}

    def with_set(self, name: str, reason: str) -> LeftOut:
        """Return it with one more set."""
        return LeftOut(sets={**self.sets, name: reason}, rows=self.rows)

    def with_rows(self, name: str, rows: Mapping[int, Dropped]) -> LeftOut:
        """Return it with the rows of one more set."""
        return LeftOut(sets=self.sets, rows={**self.rows, name: rows})

    def of(self, material: Iterable[Any]) -> list[Any]:
        """Return what is left of the material.

        Raises DataError where the rest of a set cannot be measured: no class is left to tell apart, say.
        """
        kept = [data for data in material if data.name not in self.sets]
        return [self._whole(data) if data.name in self.rows else data for data in kept]

    def _whole(self, data: Any) -> Any:
        rows = self.rows[data.name]
        if hasattr(data, "without"):
            return data.without(rows.keys(), list(rows.values()))
        raise DataError(f"'{data.name}' cannot leave out single rows", "material with 'without'", "shorten its texts")
