"""Texts that do not fit the model: rows of user files are refused or dropped, built-in sets are left out as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layeratlas.core.errors import CaptureError, DataError
from layeratlas.core.formatting import counted
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.fitting import LeftOut
from layeratlas.runs.workspace import Workspace

if TYPE_CHECKING:
    from layeratlas.models.tokenizing import EncodeAll

NOTHING_LEFT_OUT = LeftOut(sets={}, rows={})
# The most dropped rows listed in `run.json`, per file.
_LISTED = 100

Unfit = Mapping[str, Mapping[int, Dropped]]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What decides whether a study can read texts with a model, known without its weights."""

    name: str
    blocks: int
    encode: EncodeAll
    context: int | None


def leave_out_unfit(work: Workspace, unfit: Unfit, expected: str, todo: str = "shorten or drop it") -> None:
    """Leave out the texts that do not fit the model: `unfit` rows by data set and 0-based number.

    Rows of a user's file are dropped with `bad_rows="drop"`, else refused with CaptureError, which states what was
    `expected` and the advice `todo`. A built-in set is left out as a whole, so that its name stands for the same texts
    in every run; so is a file with too few rows left. Each is noted. Raises CaptureError if no set is left.
    """
    left_out = work.left_out
    for data in [data for data in work.material if unfit.get(data.name)]:
        rows = unfit[data.name]
        if data.source and work.spec.bad_rows == "refuse":
            raise _refusal(list(rows.values()), expected, todo)
        reason = "" if data.source else _reason(list(rows.values()), expected)
        if not reason:
            try:
                left_out.with_rows(data.name, rows).of([data])
            except DataError as error:
                reason = f"without {counted(len(rows), 'row')} that do not fit: {error}"
        left_out = left_out.with_set(data.name, reason) if reason else left_out.with_rows(data.name, rows)
    _check_any_left(work, left_out, unfit, expected)
    work.leave_out(left_out)
    for name, reason in left_out.sets.items():
        work.progress.note(f"{name} is left out: {reason}")
    record_dropped(work, [name for name in left_out.rows if unfit.get(name)])


def _refusal(rows: Sequence[Dropped], expected: str, todo: str) -> CaptureError:
    more = f" (and {len(rows) - 1} more do not fit)" if len(rows) > 1 else ""
    return CaptureError(
        f"{rows[0].where} {rows[0].why}{more}", expected, f"{todo}, or leave out such rows with --bad-rows drop"
    )


def _reason(rows: Sequence[Dropped], expected: str) -> str:
    more = f", and {len(rows) - 1} more do not fit" if len(rows) > 1 else ""
    return f"{rows[0].where} {rows[0].why}{more}; expected {expected}"


def _check_any_left(work: Workspace, left_out: LeftOut, unfit: Unfit, expected: str) -> None:
    if work.material and not [data for data in work.material if data.name not in left_out.sets]:
        name = work.material[0].name
        row = next(iter(unfit[name].values()))
        problem = f"nothing that the run reads fits the model: {row.where} {row.why}"
        others = len(work.material) - 1
        if others:
            problem += f", and {others} more set{'s do' if others > 1 else ' does'} not fit either"
        raise CaptureError(problem, expected, "use other texts or another model")


def record_dropped(work: Workspace, noted: Sequence[str]) -> None:
    """Record in `run.json` which rows of the user's files are left out; show a note for the sets in `noted`."""
    work.manifest["dropped"] = {}
    for data in work.material:
        rows: Sequence[Dropped] = getattr(data, "dropped", ())
        if not rows:
            continue
        share = _share(len(rows), len(data), work.manifest.get("sampled", {}).get(data.name))
        listed = [{"where": row.where, "why": row.why} for row in rows[:_LISTED]]
        work.manifest["dropped"][data.name] = {"n": len(rows), "share": share, "rows": listed}
        if data.name in noted:
            first = f"{rows[0].where}: {rows[0].why}"
            work.progress.note(
                f"{data.name}: leaves out {counted(len(rows), 'row')} ({share:.1%}), the first is {first}"
            )


def _share(dropped: int, left: int, sampled: Mapping[str, int] | None) -> float:
    """Return the share of a file's rows that are left out.

    Malformed rows are counted in the whole file; rows that do not fit the model are counted among the `n` rows sampled
    from the `of` well-formed ones.
    """
    if not sampled:
        return dropped / (dropped + left)
    asked, whole = sampled["n"], sampled["of"]
    malformed = dropped - (asked - left)
    return 1 - (whole / (malformed + whole)) * (left / asked)


def begin_fitting(work: Workspace) -> None:
    """Reset what an earlier attempt left out, so that row numbers refer to the original material."""
    with suppress(KeyError):
        del work.manifest["unfit"]
    work.leave_out(NOTHING_LEFT_OUT)


def left_out_sets(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the sets that a run left out: {name: reason}."""
    return dict(manifest.get("unfit", {}).get("sets", {}))
