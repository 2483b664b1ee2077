"""The effect of each ablation on the accuracy of each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import DataError
from layeratlas.stats.group_means import group_means
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.exits.ablation.plan import WIDE, Ablation, Role

# Ablations whose p-values are corrected together.
_FAMILIES = (WIDE, (Role.LAYER,), (Role.CONTROL,))


@dataclass(frozen=True, kw_only=True)
class AblationEffect:
    """The effect of one ablation on one level.

    `change` is the ablated minus the clean accuracy on the same n questions. Its 95 % interval is a bootstrap over
    groups, widened for few groups. Its p-value comes from exact sign flips of the groups' changes and is
    Holm-corrected within one family of the level: halves and spans, single blocks and sublayers, or controls.
    `share_as_large` is the share of ranges of the same width (this one and the controls; for single blocks, all of the
    same kind) that lower accuracy at least as much. `draws` (B,) are the bootstrap draws of the change, `group_sums`
    (G,) the sum of the changes in each group.
    """

    level: str
    ablation: Ablation
    clean: float
    ablated: float
    change: Effect
    share_as_large: float
    n: int
    n_groups: int
    draws: Floats
    group_sums: Floats

    @property
    def verdict(self) -> Verdict:
        """Verdict on a fall in accuracy; `not supported` if accuracy rises."""
        return loss_verdict(self.change)


def loss_verdict(change: Effect) -> Verdict:
    """Return the verdict of an exact test for a loss, which is a negative change."""
    return Effect(estimate=-change.estimate, p=change.p).verdict_by_sign()


def ablation_effects(
    level: str,
    clean: Floats,
    ablated: Mapping[Ablation, Floats],
    groups: Sequence[str],
    resampler: Resampler,
) -> list[AblationEffect]:
    """Return the effects of all ablations on one level.

    `clean` and each of `ablated` are (n,), the credit of each question from 0 to 1. `groups` are the questions' groups;
    the questions of a group are resampled together. Raises DataError if shapes differ.
    """
    _check(level, clean, ablated, groups)
    plan = list(ablated)
    gaps = np.stack([credit - clean for credit in ablated.values()], 1)
    means = group_means(gaps, groups, resampler)
    effects = means.effects(_corrected(plan, means.ps), least=-1.0, most=1.0)
    return [
        AblationEffect(
            level=level,
            ablation=ablation,
            clean=float(clean.mean()),
            ablated=float(ablated[ablation].mean()),
            change=effects[i],
            share_as_large=_share_as_large(plan, i, means.sample.estimate),
            n=len(clean),
            n_groups=len(means.sums),
            draws=means.sample.draws[:, i],
            group_sums=means.sums[:, i],
        )
        for i, ablation in enumerate(plan)
    ]


def _check(level: str, clean: Floats, ablated: Mapping[Ablation, Floats], groups: Sequence[str]) -> None:
    wrong = [ablation.name for ablation, credit in ablated.items() if credit.shape != clean.shape]
    if wrong or len(groups) != len(clean) or not len(clean):
        others = f", others for {wrong[0]}" if wrong else ""
        raise DataError(
            f"'{level}': {len(clean)} clean items, {len(groups)} groups{others}",
            "the same items clean and edited, one or more",
        )


def _corrected(plan: Sequence[Ablation], raw: Sequence[float]) -> list[float]:
    """Return the p-value of each ablation, corrected within its family, from the uncorrected ones."""
    ps = [1.0] * len(plan)
    for roles in _FAMILIES:
        family = [i for i, ablation in enumerate(plan) if ablation.role in roles]
        for i, p in zip(family, holm([raw[i] for i in family]), strict=True):
            ps[i] = p
    return ps


def _share_as_large(plan: Sequence[Ablation], at: int, changes: Floats) -> float:
    """Return the share of ablations like the one at `at`, itself included, that lower accuracy at least as much.

    Ties count as at least as large: if no ablation changes the accuracy, every share is 1.
    """
    own = plan[at]
    alike = [
        i
        for i, other in enumerate(plan)
        if (other.kind, other.component, other.width) == (own.kind, own.component, own.width)
        and (other.role in (Role.LAYER, Role.CONTROL) or i == at)
    ]
    return float(np.mean(changes[alike] <= changes[at] + ROUNDING))
