"""A worker process: it holds a share of a model's weights and runs each forward pass that the leader announces."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from layeratlas.core.processes import end_with
from layeratlas.core.spec import ModelSpec
from layeratlas.models.links import Link
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.loading import load_share
from layeratlas.models.starting import join, join_torchrun
from layeratlas.models.team import led


def main() -> None:
    """Load the model for which the leader started this process, and follow the leader until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the leader ends the others
    parent, number, port, written = sys.argv[1:]
    end_with(int(parent))
    spec = ModelSpec.model_validate_json(written)
    link = join(int(number), int(port), spec.parallel)
    _follow(link, _loaded(link, spec))


@contextmanager
def joined() -> Iterator[bool]:
    """Join the processes that torchrun started; yield True in the leader, and False in the others after it ends.

    The leader ends the others when it leaves.
    """
    link = join_torchrun()
    if link.number:
        _follow(link, None)
        yield False
        return
    with led(link):
        yield True


def _follow(link: Link, model: LoadedModel | None) -> None:
    """Load models and run forward passes as the leader announces them, until it announces the end."""
    while True:
        tensors, words = link.receive()
        if "end" in words:
            link.leave()
            return
        if "load" in words or "drop" in words:
            model = None  # free its memory first
        if "load" in words:
            model = _loaded(link, ModelSpec.model_validate_json(words["load"]))
        elif model is not None:
            kinds = json.loads(words["kinds"])
            mask: Any = {kind: _given(tensors[f"mask {kind}"]) for kind in kinds} or tensors.get("mask")
            model.run(tensors["ids"], mask, tensors.get("positions"), json.loads(words["logits"]))


def _loaded(link: Link, spec: ModelSpec) -> LoadedModel | None:
    """Load this process's share and tell how that went; None if it failed.

    This process ends if the leader waits for it in the middle of the load.
    """
    link.begin_load()
    try:
        model = load_share(spec)
    except Exception as error:
        link.tell(f"{error}" or type(error).__name__)
        if link.have_told([0], failed=True):
            return None
        sys.exit(1)
    link.tell()
    return model


def _given(mask: Tensor) -> Tensor | None:
    return mask if mask.numel() else None


if __name__ == "__main__":
    main()
