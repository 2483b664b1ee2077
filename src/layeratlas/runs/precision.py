"""`--precision fast`: whether a run rounds its products, decided by a sample of its texts that is computed both ways.

Decided once, before the first text is stored, and kept in `run.json` and with what is stored of the texts, so that
these can be trusted without `run.json`. The rest of the run, such as controls and interventions, is computed as without
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.turns import ALONE, Turns
from layeratlas.runs.beginning import PRECISION_FILE
from layeratlas.runs.workspace import Workspace

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel

# The key of the decision in `run.json`.
FIELD = "precision"
# The largest change of accuracy that a run accepts.
BOUND = 0.005
# With fewer items (texts or questions) their change cannot be told from chance.
ENOUGH = 24
# A smaller run, in multiples of such a sample, would not gain by it.
_LEAST = 4
# How much faster rounded products must be: the sample costs up to a fifth of the capture.
_FASTER = 1.25
# Standard errors above the mean change that must be within the bound (95 %, one-sided), and those that a single layer
# or exit, of a hundred or so, must be beyond it before its change counts as real.
_SURE, _ONE_OF_MANY = 1.645, 4.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A sample of `texts` of a run's `total`, computed with products as they are and rounded.

    `difference` is the largest one of what is stored, in `unit`, found at `where`. `changes` has for each data set the
    credit of each item with rounded products minus that without, (points, items): 1 for an answer or a prediction that
    becomes right, -1/2 for one that becomes a tie of two. `points` names the points.
    """

    texts: int
    total: int
    difference: float
    unit: str
    where: str
    points: Sequence[str]
    changes: Sequence[Floats]

    def record(self) -> dict[str, Any]:
        """Return the entries in `run.json`."""
        entries: dict[str, Any] = {"texts": self.texts, "total": self.total}
        entries |= {"difference": self.difference, "unit": self.unit, "where": self.where}
        items = sum(each.shape[1] for each in self.changes)
        if not items:
            return entries | {"items": 0}
        every = np.concatenate(self.changes, axis=1)
        effect, error = _mean_and_error(every.mean(0))
        single, errors = _mean_and_error(every)
        beyond = np.maximum(np.abs(single) - _ONE_OF_MANY * errors, 0)
        return entries | {
            "items": items,
            "changed": float((every != 0).mean()),
            "effect": float(effect),
            "at_most": float(abs(effect) + _SURE * error),
            "at_one_point": float(beyond.max()),
            "point": self.points[int(beyond.argmax() if beyond.any() else np.abs(single).argmax())],
            "bound": BOUND,
        }


def _mean_and_error(values: Floats) -> tuple[Floats, Floats]:
    """Return the mean over the last axis and its standard error."""
    return values.mean(-1), values.std(-1, ddof=1) / np.sqrt(values.shape[-1])


TryBoth = Callable[["LoadedModel", "LoadedModel"], Trial]


def settle(work: Workspace, items: int, try_both: TryBoth, store: str) -> LoadedModel:
    """Return the model that computes the run's texts; with `--precision fast`, decide first and tell the user.

    `items` are the run's texts or questions. `try_both` gets the model as it is and the same with rounded products.
    `store` names the folder of what is stored of the texts. What was decided before it began to be stored still holds,
    also if `run.json` was damaged since: a new decision depends on how fast the machine is now.
    """
    if work.spec.capture.precision == "fast":
        path = work.common / store / PRECISION_FILE
        if FIELD not in work.manifest:
            kept = _kept(path, work.key)
            work.manifest[FIELD] = _decided(work.model, items, try_both) if kept is None else kept
            work.progress.note(words_of(work.manifest[FIELD]))
            work.save()
        if not work.turns.helping and _kept(path, work.key) is None:
            write_sealed(path, {"run": work.key, FIELD: work.manifest[FIELD]})
    return as_settled(work)


def _kept(path: Path, run: str) -> dict[str, Any] | None:
    """Return the decision of this run in a file; None if it is missing, damaged or another run's."""
    with contextlib.suppress(StoreError, OSError):
        record = read_sealed(path)
        if record.get("run") == run:
            return dict(record[FIELD])
    return None


def as_settled(work: Workspace) -> LoadedModel:
    """Return the model that has computed the run's texts."""
    model = work.model
    return model.with_products(work.manifest[FIELD]["products"]) if _rounds(work.manifest) else model


def rounding_of(work: Workspace) -> float:
    """Return the largest difference that rounded products made in the sample; 0 if products are not rounded."""
    return float(work.manifest[FIELD]["difference"]) if _rounds(work.manifest) else 0.0


def turns_of(work: Workspace) -> Turns:
    """Return the turns in which the run's texts are computed: its own process alone if products are rounded.

    Machines round alike, but their sums differ in the last bits, which rounding enlarges.
    """
    return ALONE if _rounds(work.manifest) else work.turns


def _rounds(run: Mapping[str, Any]) -> bool:
    return bool(run.get(FIELD, {}).get("rounded"))


def _decided(model: LoadedModel, items: int, try_both: TryBoth) -> dict[str, Any]:
    from layeratlas.models.products import EXACT, ROUNDED, gain

    kept: dict[str, Any] = {"rounded": False, "products": EXACT}
    why = _why_not(model) or _too_few(items)
    if why:
        return kept | {"why": why}
    kept["gain"] = round(gain(model.device, model.anatomy.width), 2)
    if kept["gain"] < _FASTER:
        return kept | {"why": f"rounded products are {kept['gain']:.2g} times as fast here"}
    trial = try_both(model, model.with_products(ROUNDED)).record()
    why = _too_much(trial)
    return kept | trial | ({"why": why} if why else {"rounded": True, "products": ROUNDED})


def _why_not(model: LoadedModel) -> str:
    """Return why the products of a model cannot be rounded; empty if they can."""
    if model.remote is not None:
        return "the model is on NDIF"
    if model.team is not None:
        return "the weights are spread over processes"
    return "" if model.spec.dtype == "float32" else f"the weights are in {model.spec.dtype}"


def _too_few(items: int) -> str:
    """Return why a run is too small to be tried on a sample; empty if it is not."""
    least = ENOUGH * _LEAST
    return f"{items} items are too few for a sample of them to pay, of {least} needed" if items < least else ""


def _too_much(trial: Mapping[str, Any]) -> str:
    """Return why the changes of a trial are not accepted; empty if they are."""
    if trial["items"] < ENOUGH:
        return f"{trial['items']} items of the sample can be compared, and {ENOUGH} are needed"
    if trial["at_most"] > BOUND:
        return f"accuracies of a sample change by {trial['effect']:+.4f}, and by up to {trial['at_most']:.4f}"
    if trial["at_one_point"] > BOUND:
        return f"accuracies of a sample change by at least {trial['at_one_point']:.4f} at {trial['point']}"
    return ""


def words_of(decided: Mapping[str, Any]) -> str:
    """Return a decision in one line."""
    if not decided["rounded"]:
        bound = f"; at most {BOUND} is accepted" if "change by" in decided["why"] else ""
        return f"products are exact, although --precision fast was asked for: {decided['why']}{bound}"
    return (
        f"products are rounded to {decided['products']} ({decided['gain']:.2g} times as fast here): on "
        f"{decided['texts']:,} of this run's {decided['total']:,} texts the largest difference is "
        f"{decided['difference']:.1e} ({decided['unit']}), accuracies change by {decided['effect']:+.4f} (at most "
        f"{decided['at_most']:.4f}, of {BOUND} accepted), {decided['changed']:.2%} of single answers change"
    )


def precision_methods(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how a run's products were computed as (heading, text), from its manifest; empty for an exact run."""
    if FIELD not in run:
        return []
    words = words_of(run[FIELD])
    rest = " Norms, attention, the residual stream and all sums are in float32." if _rounds(run) else ""
    return [("Precision", f"{words[0].upper()}{words[1:]}.{rest}")]
