"""The settings of a segments run that `--set` can change."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from layeratlas.core.spec import Spec
from layeratlas.studies.segments.intervention.plan import Intervention, read_interventions


class SegmentSettings(Spec):
    """The settings of a segments run.

    `tokens` tokens, plus BOS, are measured in each passage. Without `maps`, the chosen attention kernel is kept and
    attention is not measured. `untrained` passages are also run through a random-weight model of the same config (by
    default 0 at size quick, 12 at standard, 32 at full). `method` is the rule that finds the boundaries. `noise` is
    the noise added to the residual stream to measure brittleness. `edits` describes interventions, made on every
    segment or on the blocks that they name; with `generate`, prompts of `prompt_tokens` tokens are continued by
    `new_tokens` tokens under each intervention.
    """

    tokens: int = Field(default=256, ge=16, description="tokens measured in each passage")
    maps: bool = Field(default=True, description="measure attention maps, under the eager kernel")
    lens_positions: int = Field(default=8, ge=1, description="positions per passage at which the logit lens is read")
    views: int = Field(default=8, ge=2, description="noisy copies per passage")
    view_passages: int = Field(default=32, ge=0, description="number of passages that are copied, 0 for none")
    view_tokens: int = Field(default=48, ge=8, description="tokens per noisy copy")
    untrained: int | None = Field(
        default=None, ge=0, description="number of passages through a random-weight model, 0 for none"
    )
    draws: int = Field(default=200, ge=100, description="bootstrap draws of the passages")
    surrogates: int = Field(default=199, ge=99, description="boundary-free surrogates of the existence test")
    noise: Literal["relative", "absolute", "none"] = Field(
        default="relative", description="noise relative to the stream's size, absolute, or none"
    )
    edits: str = Field(default="default", description="default, none or edits such as 'noise 0.3; zero of mlp'")
    drop: bool = Field(
        default=False, description="measure the loss as more and more blocks are dropped, in several orders"
    )
    information: bool = Field(
        default=False, description="decode nearby tokens at every layer: bounds of mutual information"
    )
    generate: bool = Field(default=False, description="generate text under every edit")
    prompts: int = Field(default=24, ge=6, description="prompts that are continued")
    prompt_tokens: int = Field(default=32, ge=1, description="tokens per prompt")
    new_tokens: int = Field(default=64, ge=8, description="tokens generated after each prompt")
    method: Literal["exact", "v1"] = Field(
        default="exact", description="search for boundaries: exact, or by the first version's rule"
    )

    @property
    def interventions(self) -> list[Intervention]:
        """The interventions named in `edits`; raises SpecError if the text cannot be parsed."""
        return [] if self.edits in ("default", "none") else read_interventions(self.edits)
