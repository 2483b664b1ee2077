"""The settings of the study: how questions are asked and how exits are read out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field

from layeratlas.core.spec import Spec
from layeratlas.studies.exits.reading_out import ALL_EXITS

Format = Literal["text", "letter", "cloze", "free", "chain"]
Score = Literal["sum", "per_character", "per_byte", "per_token", "minus_answer"]
Normaliser = Literal["auto", "exact"]
Replacement = Literal["mean", "zero", "both"]
SCORES: tuple[Score, ...] = get_args(Score)


class ExitSettings(Spec):
    """The settings that `--set` accepts for the study, with their meanings."""

    shots: int = Field(default=4, ge=0, le=6, description="worked examples before each question, never scored")
    questions: int | None = Field(
        default=None,
        ge=2,
        description="maximum number of questions of each set: whole groups, drawn with the seed, by default all",
    )
    format: Format = Field(default="text", description="how questions and choices are written")
    exit_norm: Literal["final", "none"] = Field(
        default="final",
        description="the model's final norm at every point (final), or at the last point only, as published (none)",
    )
    exits: str = Field(
        default=ALL_EXITS,
        description="exits that are read out: all, every N (counted from the last), or a list such as 0,10,20; the "
        "last one always",
    )
    normaliser: Normaliser = Field(
        default="exact",
        description="sums over the whole vocabulary in float32 (exact), or within about 0.001 nats per token where "
        "that is faster on this machine (auto)",
    )
    strict: bool = Field(
        default=False,
        description="count ties as wrong, as published; otherwise k tied choices get 1/k each",
    )
    score: Score = Field(default="sum", description="the score that the findings use")
    free_tokens: int = Field(default=8, ge=1, description="maximum number of tokens of a free answer")
    chain_tokens: int = Field(
        default=64, ge=1, description="maximum number of tokens of a chain of reasoning with its answer"
    )
    free_exits: int = Field(
        default=6,
        ge=1,
        description="exits at which free answers and chains are decoded: of those that are read, evenly spaced up to "
        "the last",
    )
    random_weights: bool | None = Field(
        default=None,
        description="also ask the same architecture with random weights, by default at every size but quick",
    )
    tuned: bool = Field(
        default=False, description="also read exits out through translators, affine maps to the last layer's basis"
    )
    tuned_questions: int = Field(
        default=52,
        ge=1,
        description="questions of each set asked through translators: whole groups, from its beginning",
    )
    tuned_on: str = Field(default="", description="a file of passages to fit translators on, by default built-in ones")
    translators: str = Field(
        default="",
        description="a .safetensors file of published translators (tuned lens), by default fitted by the run",
    )
    ablate: bool = Field(default=False, description="ask again without each block and sublayer")
    ablate_questions: int = Field(
        default=52, ge=1, description="questions of each set while ablating: whole groups, from its beginning"
    )
    ablate_shots: int = Field(
        default=2, ge=0, le=6, description="worked examples while ablating, at most as many as shots"
    )
    ablate_to: Replacement = Field(
        default="mean", description="the value that an ablated attention or MLP output is set to"
    )

    @property
    def decodes(self) -> bool:
        """Whether answers are decoded."""
        return self.format in ("free", "chain")

    @property
    def answer_tokens(self) -> int:
        """The maximum number of tokens that are decoded per answer."""
        return self.chain_tokens if self.format == "chain" else self.free_tokens

    @property
    def normed(self) -> bool:
        """Whether every point is read out through the final norm."""
        return self.exit_norm == "final"

    @property
    def whole_vocabulary(self) -> bool:
        """Whether every normaliser is the sum over the whole vocabulary."""
        return self.normaliser == "exact"

    @property
    def readout_note(self) -> str:
        """The note that statements add about the readout; empty for the model's own readout."""
        return "" if self.normed else ", norm left out"

    @property
    def while_ablating(self) -> ExitSettings:
        """The same settings with the number of worked examples for ablations."""
        return self.with_shots(min(self.ablate_shots, self.shots))

    def with_shots(self, shots: int) -> ExitSettings:
        """Return the same settings with another number of worked examples."""
        return self.model_copy(update={"shots": shots})


def settings_of(run: Mapping[str, Any]) -> ExitSettings:
    """Return the settings of a run from its `run.json`."""
    return ExitSettings(**run["spec"].get("settings", {}))
