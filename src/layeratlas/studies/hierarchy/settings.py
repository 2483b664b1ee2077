"""The settings of the hierarchy study, given with `--set`."""

from __future__ import annotations

from pydantic import Field

from layeratlas.core.spec import Spec

# A data set with more texts than the first number is probed from disk; about as many as the second are tested.
LARGE, SAMPLE = 20_000, 2_000


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
        description="repeat the residual stream under other wordings, word lists, folds and seeds, by default at every "
        "size but quick",
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
    sample: int | None = Field(
        default=None,
        ge=20,
        description="data sets with more texts than this are probed from disk: ridge is trained on all texts and "
        "tested on about so many; by default 2,000 texts of data sets with more than 20,000",
    )


def is_large(texts: int, settings: ProbingSettings) -> bool:
    """Return whether a data set has too many texts to be probed in memory, by default or by the user's `sample`."""
    return texts > (LARGE if settings.sample is None else settings.sample)
