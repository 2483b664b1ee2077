"""The settings of the hierarchy study, given with `--set`."""

from __future__ import annotations

from pydantic import Field

from layeratlas.core.spec import Spec


class ProbingSettings(Spec):
    """The settings in addition to those of the probes."""

    mdl: bool = Field(
        default=False,
        description="also measure description lengths, at several times the cost of the probes",
    )
    learning_curves: bool | None = Field(
        default=None,
        description="accuracy by number of texts and of dimensions, by default at every size but quick",
    )
    robustness: bool | None = Field(
        default=None,
        description="repeat the residual stream under other wordings, words, folds and seeds, by default at every size "
        "but quick",
    )
    random_weights: bool | None = Field(
        default=None,
        description="also probe the same architecture with random weights, by default at every size but quick",
    )
    positions: bool = Field(
        default=False,
        description="also read texts at every named span and word (in a chat, at the ends of the turn), at several "
        "times the cost of the probes",
    )
    experts: bool = Field(
        default=False,
        description="also read the routers of a mixture-of-experts model: entropy and use of experts by level",
    )
