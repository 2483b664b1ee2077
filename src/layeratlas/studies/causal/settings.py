"""The settings of a causal run that `--set` can change."""

from __future__ import annotations

from pydantic import Field

from layeratlas.core.spec import Size, Spec

_PROMPTS = {"quick": 32, "standard": 96, "full": 400}


class CausalSettings(Spec):
    """The settings of a causal run.

    Erasers and probes are fitted on all texts of a set; edits are measured on `prompts` of them. For every prompt and
    point, `controls` random directions and the same number of shuffled labels are drawn.
    """

    points: int = Field(default=8, ge=1, description="points of the stream that are edited, evenly spaced to the last")
    prompts: int | None = Field(
        default=None, ge=4, description="prompts of each set that are edited, by default 32, 96 or 400 by size"
    )
    controls: int = Field(default=2, ge=1, description="number of random directions, and of shuffled-label ones")
    strength: float = Field(
        default=1.0, gt=0, description="steering strength; 1 moves from the mean of one class to that of another"
    )
    unused: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="the share of the answers' log-odds below which a loss or a shift is too small to matter",
    )
    unmoved: float = Field(
        default=0.1,
        gt=0,
        description="nats of log-odds below which a shift by steering is too small to matter, whatever its share",
    )

    def margins(self, log_odds: float) -> tuple[float, float]:
        """Return the smallest loss by erasure and the smallest shift by steering that matter, in nats.

        A loss is judged by its share of the model's own `log_odds`. A shift is also judged by its size: a model that
        hardly prefers the right answer is moved by a large share of nearly nothing.
        """
        share = self.unused * max(log_odds, 0.0)
        return share, max(share, self.unmoved)

    def measured(self, size: Size) -> int:
        """Return how many prompts of each set are measured."""
        return self.prompts or _PROMPTS[size]
