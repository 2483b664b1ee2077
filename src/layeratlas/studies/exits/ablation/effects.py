"""Which blocks and sublayers to take away, and what each one's absence does to each ability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import Edit, blocks_named
from layeratlas.core.errors import DataError
from layeratlas.core.spec import Component
from layeratlas.runs.finding import Finding
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict

_HALVES = 200
# Credits of 1/k, k up to 6, are whole numbers of this part.
_PARTS = 60


@dataclass(frozen=True)
class Ablation:
    """One thing taken away: blocks `start` to `stop` - 1, or their attention or MLP set to zero or to its mean.

    `layer`: one block or sublayer; `half`: the lower or the upper half; `span`: a named stretch; `control`: a random
    stretch as wide as a half or a span.
    """

    role: Literal["layer", "half", "span", "control"]
    name: str
    kind: Literal["skip", "zero", "mean"]
    component: Component
    start: int
    stop: int

    def edit(self, means: NDArray[np.float32] | None = None) -> Edit:
        """Return what is done to the model; `means` (L, d) of the component at every block, for the kind `mean`."""
        layers = tuple(range(self.start, self.stop))
        vectors = means[self.start : self.stop] if means is not None and self.kind == "mean" else None
        return Edit(self.kind, layers, self.component, vectors=vectors)


def plan_ablations(
    layers: int,
    spans: Mapping[str, tuple[int, int]] | None = None,
    controls: int = 8,
    seed: int = 0,
    kinds: Sequence[Literal["zero", "mean"]] = ("zero", "mean"),
) -> list[Ablation]:
    """Return what is taken away from a model of so many blocks; `spans` are half-open ranges of blocks by name.

    Every block skipped; attention and MLP of every block set to zero or to their means, or both (`kinds`); both halves
    and the spans skipped, and `controls` random stretches of each of their widths (fewer where there are not so many).
    """
    one = [(b, b + 1) for b in range(layers)]
    plan = [_named("layer", "skip", "resid", *span) for span in one]
    parts: tuple[Component, ...] = ("attn", "mlp")
    plan += [_named("layer", kind, part, *span) for kind in kinds for part in parts for span in one]
    middle = layers // 2
    wide = {"lower half": (0, middle), "upper half": (layers - middle, layers)}
    plan += [Ablation("half", name, "skip", "resid", *span) for name, span in wide.items()]
    plan += [Ablation("span", name, "skip", "resid", *span) for name, span in (spans or {}).items()]
    taken = [*wide.values(), *(spans or {}).values()]
    rng = np.random.default_rng([seed, 31])
    for width in sorted({b - a for a, b in taken if b - a > 1}):
        free = [a for a in range(layers - width + 1) if (a, a + width) not in taken]
        chosen = sorted(rng.permutation(free)[:controls].tolist())
        plan += [_named("control", "skip", "resid", a, a + width) for a in chosen]
    return plan


def _named(role: Literal["layer", "control"], kind: Literal["skip", "zero", "mean"], component: Component, start: int,
           stop: int) -> Ablation:  # fmt: skip
    what = "" if component == "resid" else f"{component} of "
    return Ablation(role, f"{kind} {what}{blocks_named(range(start, stop))}", kind, component, start, stop)


@dataclass(frozen=True)
class AblationEffect:
    """What one ablation does to one ability.

    `change` is edited less clean accuracy over the same n items, with the 95 % interval of a bootstrap over groups,
    widened for few groups; `p` two-sided against no change (exact: every group's change is as likely with the other
    sign), Holm-corrected over the ability's halves and spans, its single blocks and sublayers, or its controls;
    `p_span` the share of stretches of the same width (itself and the controls; for single blocks all others of its
    kind) that lower accuracy as much or more. `draws` (B,) is the bootstrap, `sums` (G,) the groups' changes.
    """

    ability: str
    ablation: Ablation
    clean: float
    edited: float
    change: float
    lo: float
    hi: float
    p: float
    p_span: float
    n: int
    n_groups: int
    draws: Floats
    sums: Floats


def ablation_effects(
    ability: str,
    clean: Floats,
    edited: Mapping[Ablation, Floats],
    groups: Sequence[str],
    resampler: Resampler | None = None,
) -> list[AblationEffect]:
    """Return the effects on one ability.

    `clean` and each of `edited`: (n,) credit of each item, 0 to 1; `groups` the items' groups, resampled together. A
    `resampler` that several abilities share makes their intervals comparable. Raises DataError where shapes differ.
    """
    wrong = [a.name for a, credit in edited.items() if credit.shape != clean.shape]
    if wrong or len(groups) != len(clean) or not len(clean):
        raise DataError(
            f"'{ability}': {len(clean)} clean items, {len(groups)} groups"
            + (f", others for {wrong[0]}" if wrong else ""),
            "the same items clean and edited, one or more",
        )
    weights = (resampler or Resampler(groups, 1000, 0, _HALVES)).weights(groups)
    boot = (resampler.bootstrap if resampler else 1000) + 1
    gaps = np.stack([credit - clean for credit in edited.values()], 1)
    total = weights[:boot].sum(1, keepdims=True)
    changes = (weights[:boot] @ gaps) / np.maximum(total, 1)
    names, of_item = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.stack([np.bincount(of_item, gap, len(names)).astype(float) for gap in gaps.T], 1)
    ps = _corrected(list(edited), sums)
    draws = changes[0] + (changes[1:] - changes[0]) * _few(len(names))
    lo, hi = _interval(changes[0], draws, len(names))
    return [
        AblationEffect(
            ability, a, float(clean.mean()), float(credit.mean()), float(changes[0, i]), float(lo[i]), float(hi[i]),
            ps[i], _among(a, i, list(edited), changes[0]), len(clean), len(names), draws[:, i], sums[:, i],
        )
        for i, (a, credit) in enumerate(edited.items())
    ]  # fmt: skip


def _few(groups: int) -> float:
    """Return by how much the bootstrap of so few groups is too narrow (Cameron, Gelbach and Miller 2008)."""
    g = max(groups, 2)
    return float(np.sqrt(g / (g - 1)) * scipy.stats.t.ppf(0.975, g - 1) / scipy.stats.norm.ppf(0.975))


def _interval(change: Floats, draws: Floats, groups: int) -> tuple[Floats, Floats]:
    """Return 95 % intervals; where every group changed alike, they reach three groups that do not."""
    lo, hi = np.percentile(draws, [2.5, 97.5], axis=0)
    reach = np.where(hi - lo < 1e-12, 3 / groups, 0.0)
    return np.maximum(lo - reach, -1.0), np.minimum(hi + reach, 1.0)


def sign_flip(sums: Floats) -> float:
    """Return the exact two-sided p-value of groups' changes (G,): the share of their signs with as large a sum.

    A bootstrap of few groups would call changes sure that any signs could make: with G groups, no p-value is below
    2^(1 - G).
    """
    signed = np.rint(sums * _PARTS).astype(np.int64)
    size = np.abs(signed[signed != 0])
    if not len(size):
        return 1.0
    unit = np.gcd.reduce(size)
    size, observed = size // unit, abs(int(signed.sum())) // int(unit)
    share = np.zeros(int(size.sum()) + 1)
    share[0] = 1.0
    for one in size:
        share = share / 2 + np.concatenate([np.zeros(one), share[:-one]]) / 2
    far = np.abs(2 * np.arange(len(share)) - size.sum()) >= observed
    return float(min(1.0, share[far].sum()))


def _corrected(plan: Sequence[Ablation], sums: Floats) -> list[float]:
    raw = np.array([sign_flip(own) for own in sums.T])
    ps = np.ones(len(plan))
    for roles in (("half", "span"), ("layer",), ("control",)):
        at = [i for i, a in enumerate(plan) if a.role in roles]
        ps[at] = holm(raw[at].tolist()) if at else []
    found: list[float] = ps.tolist()
    return found


def _among(own: Ablation, at: int, plan: Sequence[Ablation], changes: Floats) -> float:
    width = own.stop - own.start
    alike = [
        i
        for i, other in enumerate(plan)
        if (other.kind, other.component, other.stop - other.start) == (own.kind, own.component, width)
        and (other.role in ("layer", "control") or i == at)
    ]
    # Equal changes are as large: what does nothing among things that do nothing has p = 1.
    return float(np.mean(changes[alike] <= changes[at] + 1e-12))


def ablation_findings(effects: Sequence[AblationEffect]) -> list[Finding]:
    """Return, for each ability, what halves and named spans do, and whether the lower half matters more.

    An ablation matters where accuracy falls (Holm over the ability's halves and spans); it is special where that is
    more than random stretches of its width do, which `p_span` in the statement tells.
    """
    out = []
    for ability in dict.fromkeys(e.ability for e in effects):
        own = [e for e in effects if e.ability == ability]
        wide = [e for e in own if e.ablation.role in ("half", "span")]
        out += [_wide(e, len(wide)) for e in wide]
        halves = [e for e in own if e.ablation.role == "half"]
        if len(halves) == 2:
            out.append(_halves(*halves))
    return out


def groups_needed(tests: int) -> int:
    """Return how many groups exact sign flips need before one of so many tests can be supported (Holm, 0.05)."""
    return math.ceil(1 + math.log2(tests / 0.05))


def _too_few(effect: AblationEffect, tests: int) -> str:
    needed = groups_needed(tests)
    return f" {effect.n_groups} groups are too few to tell; {needed} can." if effect.n_groups < needed else ""


def _wide(effect: AblationEffect, tests: int) -> Finding:
    a = effect.ablation
    verdict: Verdict = "inconclusive" if effect.p > 0.05 else "supported" if effect.change < 0 else "not supported"
    says = {"supported": "is lower", "not supported": "is higher"}.get(verdict, "may or may not be another")
    text = (
        f"{effect.ability}: without the {a.name} ({blocks_named(range(a.start, a.stop))}) accuracy {says}, "
        f"{effect.edited:.2f} against {effect.clean:.2f}, change {effect.change:+.2f} [{effect.lo:+.2f}, "
        f"{effect.hi:+.2f}]; the share of stretches as wide that cost as much or more is {effect.p_span:.2f}."
        f"{_too_few(effect, tests)}"
    )
    return Finding(
        "ablation", effect.ability, a.component, a.kind, text, effect.change, effect.lo, effect.hi, effect.p,
        "no change (exact sign flips of groups, Holm)", verdict, effect.n,
    )  # fmt: skip


def _halves(lower: AblationEffect, upper: AblationEffect) -> Finding:
    gap, draws = lower.change - upper.change, lower.draws - upper.draws
    lo, hi = np.percentile(draws, [2.5, 97.5])
    p = sign_flip(lower.sums - upper.sums)
    verdict: Verdict = "inconclusive" if p > 0.05 else "supported" if gap < 0 else "not supported"
    says = {"supported": "more than", "not supported": "less than"}.get(verdict, "neither more nor less than")
    text = (
        f"{lower.ability}: losing the lower half costs {says} losing the upper half: {lower.change:+.2f} against "
        f"{upper.change:+.2f}, difference {gap:+.2f} [{lo:+.2f}, {hi:+.2f}].{_too_few(lower, 1)}"
    )
    return Finding(
        "ablation of halves", lower.ability, "resid", "skip", text, gap, float(lo), float(hi), p,
        "both halves cost the same (exact sign flips of groups)", verdict, lower.n,
    )  # fmt: skip
