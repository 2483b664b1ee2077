"""Material that a run leaves out because it does not fit the model: rows of the user's files, or whole data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import Dropped


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Material that a run has left out: `sets` by name, with the reason, and `rows` of other sets by 0-based number.

    `record` and `from_record` convert it to and from `run.json`, so that a resumed run leaves out the same material.
    """

    sets: Mapping[str, str]
    rows: Mapping[str, Mapping[int, Dropped]]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the material left out according to a manifest's record; empty for an empty record."""
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
        """Return a copy with one more set."""
        return LeftOut(sets={**self.sets, name: reason}, rows=self.rows)

    def with_rows(self, name: str, rows: Mapping[int, Dropped]) -> LeftOut:
        """Return a copy with the rows of one more set."""
        return LeftOut(sets=self.sets, rows={**self.rows, name: rows})

    def of(self, material: Iterable[Any]) -> list[Any]:
        """Return the remaining material.

        Raises DataError if the rest of a set cannot be measured, for example because only one class is left.
        """
        kept = [data for data in material if data.name not in self.sets]
        return [self._whole(data) if data.name in self.rows else data for data in kept]

    def _whole(self, data: Any) -> Any:
        rows = self.rows[data.name]
        if hasattr(data, "without"):
            return data.without(rows.keys(), list(rows.values()))
        raise DataError(f"'{data.name}' cannot leave out single rows", "material with 'without'", "shorten its texts")
