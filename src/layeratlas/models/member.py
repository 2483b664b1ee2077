"""A worker process: it holds a share of a model's weights and runs each forward pass that the leader announces."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from layeratlas.core.errors import AtlasError
from layeratlas.core.processes import end_with
from layeratlas.core.spec import ModelSpec
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.loading import load
from layeratlas.models.team import Team, join_torchrun, leave, team_of


def main() -> None:
    """Follow the leader, which started this process, until the leader ends."""
    parent, first = sys.argv[1:]
    end_with(int(parent))
    follow(team_of(ModelSpec.model_validate_json(first)))


@contextmanager
def joined() -> Iterator[bool]:
    """Join the processes that torchrun started; yield True in the leader, and False in the others after it ends.

    The leader ends the others when it leaves.
    """
    team = join_torchrun()
    if team.number:
        follow(team)
        yield False
        return
    try:
        yield True
    finally:
        team.close()


def follow(team: Team) -> None:
    """Load models and run forward passes as the leader announces them, until it announces the end."""
    loaded: LoadedModel | None = None
    while True:
        tensors, words = team.receive()
        if "end" in words:
            leave()
            return
        if "load" in words:
            try:
                loaded = load(ModelSpec.model_validate_json(words["load"]))
            except AtlasError:
                loaded = None  # the leader raises and reports the same error
        elif loaded is not None:
            kinds = json.loads(words["kinds"])
            mask: Any = {kind: _given(tensors[f"mask {kind}"]) for kind in kinds} or tensors.get("mask")
            loaded.run(tensors["ids"], mask, tensors.get("positions"), json.loads(words["logits"]))


def _given(mask: Tensor) -> Tensor | None:
    return mask if mask.numel() else None


if __name__ == "__main__":
    main()
